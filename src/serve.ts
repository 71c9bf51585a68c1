import { isIP } from 'node:net';
import { discoveryApp } from './apps/discovery/index.ts';
import { fabricApp } from './apps/fabric/index.ts';
import { gatewaysApp } from './apps/gateways/index.ts';
import { learningApp } from './apps/learning/index.ts';
import { type MobilitySettings, mobilityApp } from './apps/mobility/index.ts';
import { overlayApp } from './apps/overlay/index.ts';
import { portCondition, tenantsApp } from './apps/tenants/index.ts';
import { type Config, endpoint, endpoints } from './controller/config/index.ts';
import { type AppFacts, Controller, type ControllerOptions } from './controller/core/controller.ts';
import { ConfigError } from './controller/kernel/index.ts';
import { type HypervisorsAppSettings, hypervisorsApp } from './overlay-gw/hypervisors/index.ts';
import { type LispAppSettings, lispApp } from './overlay-gw/mapping/index.ts';

/** Starts a controller with all apps that Netloom ships. Rejects as `Controller.start` does. */
export const startNetloom = (options: Omit<ControllerOptions, 'apps' | 'portProblem'>): Promise<Controller> =>
  Controller.start({
    ...options,
    apps: (facts) => [
      [discoveryApp, { ...options.config.discovery, key: facts.discoveryKey }],
      [fabricApp, undefined],
      [tenantsApp, undefined],
      [learningApp, options.config.learning],
      [overlayApp(), { ...options.config.overlay, key: facts.discoveryKey }],
      [gatewaysApp(), options.config.gateways],
      [mobilityApp(), mobilitySettings(options.config, facts)],
      [hypervisorsApp(), hypervisorSettings(options.config, facts)],
      [lispApp(), lispSettings(options.config, facts)],
    ],
    portProblem: portCondition,
  });

const mobilitySettings = ({ mobility }: Config, { objects, programmed, remembered }: AppFacts): MobilitySettings => ({
  ...mobility,
  objects,
  programmed,
  remembered,
});

function hypervisorSettings({ ovsdb }: Config, { objects, listening }: AppFacts): HypervisorsAppSettings {
  const { listen, key, cert, ca, approval, bridge, controllers } = ovsdb;
  const files = [key, cert, ca].filter((file) => file !== '').length;
  if (files !== 0 && files !== 3) throw new ConfigError('ovsdb', 'key, cert and ca go together');
  return {
    listen: listen === '' ? undefined : endpoint('ovsdb.listen', listen),
    tls: files === 0 ? undefined : { key, cert, ca },
    approval,
    bridge,
    controllers,
    objects,
    listening: (address) => listening('ovsdb', address),
  };
}

function lispSettings({ lisp }: Config, { listening, store }: AppFacts): LispAppSettings {
  const { listen, solicit, sourceRate, routerPort, rtrs } = lisp;
  const noAddress = rtrs.find((each) => isIP(each) === 0);
  if (noAddress !== undefined) throw new ConfigError('lisp.rtrs', `"${noAddress}" is no IP address`);
  return {
    listen: endpoints('lisp.listen', listen),
    solicit,
    sourceRate: sourceRate === 0 ? undefined : { perSecond: sourceRate, burst: 2 * sourceRate },
    routerPort,
    rtrs,
    store,
    listening: (address) => listening('lisp', address),
  };
}
