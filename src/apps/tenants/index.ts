import { type App, AppId } from '../../controller/index.ts';
import { tenantsCompiler } from './compile.ts';

/**
 * Places the ports of tenants' networks: who may send what, where each MAC is, answers to ARP and neighbour solicitations,
 * meters. Networks never meet: every look-up by address is within a network.
 */
export const tenantsApp: App = {
  name: 'tenants',
  id: AppId.tenants,
  start(context) {
    context.compiler(tenantsCompiler);
  },
};

export { type PortCondition, portCondition } from './condition.ts';
export { tenantsCompiler };
