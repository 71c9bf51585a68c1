import { discoveryApp } from './apps/discovery/index.ts';
import { fabricApp } from './apps/fabric/index.ts';
import { learningApp } from './apps/learning/index.ts';
import { portCondition, tenantsApp } from './apps/tenants/index.ts';
import { Controller, type ControllerOptions } from './controller/core/controller.ts';

/** Starts a controller with all apps that Netloom ships. Rejects as `Controller.start` does. */
export const startNetloom = (options: Omit<ControllerOptions, 'apps' | 'portProblem'>): Promise<Controller> =>
  Controller.start({
    ...options,
    apps: ({ discoveryKey }) => [
      [discoveryApp, { ...options.config.discovery, key: discoveryKey }],
      [fabricApp, undefined],
      [tenantsApp, undefined],
      [learningApp, options.config.learning],
    ],
    portProblem: portCondition,
  });
