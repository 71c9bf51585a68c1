import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authority, type Credentials } from '../kit/authority.ts';
import { Lab } from '../kit/controller.ts';
import { freePort } from '../kit/netloom.ts';
import { PrivateOvs, whyNoPrivateOvs } from '../kit/private-ovs.ts';

const reason = whyNoPrivateOvs();
if (reason !== undefined) console.log(`databases of hypervisors over TLS: skipped, ${reason}`);

describe.skipIf(reason !== undefined)('the database of a hypervisor over TLS', () => {
  let ours: Authority;
  let rogue: Authority;
  let right: Credentials;
  let lab: Lab;
  let port: number;
  let ovs: PrivateOvs;
  const dpid = '0000000000007e01';
  const path = '/v1/hypervisors/hv';

  /** What the switch shows, and whom it trusts: `ovs-vsctl set-ssl`. */
  const shows = ({ key, cert }: Credentials, trusted: Authority): string => ovs.vsctl('set-ssl', key, cert, trusted.ca);
  const dials = (): string => ovs.vsctl('set-manager', `ssl:127.0.0.1:${port}`);
  const hangsUp = (): string => ovs.vsctl('del-manager');
  const becomes = async (reason: string, says = ''): Promise<string> => {
    const { status } = await lab.until(path, (body) => {
      const [condition] = body.status.conditions;
      return condition.reason === reason && condition.message.includes(says);
    });
    return status.conditions[0].message;
  };
  const isConnected = () => becomes('SwitchDisconnected');

  beforeAll(async () => {
    ours = new Authority();
    rogue = new Authority();
    right = ours.issue('switch');
    port = await freePort();
    const { key, cert, ca } = ours.issue('controller');
    lab = await Lab.start({
      'ovsdb.listen': `127.0.0.1:${port}`,
      'ovsdb.key': key,
      'ovsdb.cert': cert,
      'ovsdb.ca': ca,
    });
    ovs = await PrivateOvs.start();
    ovs.vsctl('add-br', 'br-int', '--', 'set', 'Bridge', 'br-int', `other-config:datapath-id=${dpid}`);
  });

  afterAll(async () => {
    await ovs?.stop();
    await lab?.remove();
    ours?.remove();
    rogue?.remove();
  });

  const tunnelAddresses = ['192.0.2.11'];
  const ports = () => ovs.vsctl('list-ports', 'br-int').trim().split('\n').filter(Boolean).sort();

  it('is dialled, and is kept as over TCP', async () => {
    const at = await freePort();
    shows(right, ours);
    ovs.vsctl('set-manager', `pssl:${at}:127.0.0.1`);
    await lab.ok('PUT', path, { datapathId: dpid, tunnelAddresses, ovsdb: `ssl:127.0.0.1:${at}` });
    await isConnected();
    await lab.poll(
      async () => ports().join(),
      (names) => names === 'netloom-nvgre,netloom-vxlan',
      'ports of br-int',
    );
    await lab.ok('DELETE', path);
    await lab.poll(
      async () => ports().length,
      (count) => count === 0,
      'ports of br-int',
    );
  });

  it('is away, and the status says why, while either side shows a certificate that the other does not trust', async () => {
    const at = await freePort();
    shows(rogue.issue('switch'), ours);
    ovs.vsctl('set-manager', `pssl:${at}:127.0.0.1`);
    await lab.ok('PUT', path, { datapathId: dpid, tunnelAddresses, ovsdb: `ssl:127.0.0.1:${at}` });
    await becomes('DatabaseAway', 'its certificate is refused: unable to verify the first certificate');
    shows(right, rogue);
    await becomes('DatabaseAway', 'TLS: tlsv1 alert unknown ca');
    shows(right, ours);
    await isConnected();
    await lab.ok('DELETE', path);
  }, 60_000);

  it('dials in, and is refused with a reason while its certificate is of somebody whom we do not trust', async () => {
    shows(right, ours);
    await lab.ok('PUT', path, { datapathId: dpid, tunnelAddresses });
    dials();
    await isConnected();
    await lab.poll(
      async () => ports().length,
      (count) => count === 2,
      'ports of br-int',
    );
    hangsUp();
    await becomes('DatabaseAway');
    shows(rogue.issue('switch'), ours);
    dials();
    const message = await becomes('DatabaseAway', 'was refused at');
    expect(message).toMatch(/127\.0\.0\.1:\d+ was refused at \S+: its certificate is refused: UNABLE_TO_VERIFY_LEAF/);
    const { refused } = await lab.ok('GET', '/v1/apps/hypervisors/candidates');
    expect(refused).toMatchObject([{ reason: 'its certificate is refused: UNABLE_TO_VERIFY_LEAF_SIGNATURE' }]);
    hangsUp();
    shows(right, ours);
    dials();
    await isConnected();
    expect((await lab.ok('GET', '/v1/apps/hypervisors/candidates')).refused).toEqual([]);
    expect(ports()).toHaveLength(2);
  }, 60_000);

  it('is refused without TLS', async () => {
    hangsUp();
    ovs.vsctl('set-manager', `tcp:127.0.0.1:${port}`);
    const refusals = await lab.until('/v1/apps/hypervisors/candidates', ({ refused }) => refused.length === 1);
    expect(refusals.refused[0].reason).toMatch(/TLS/);
    expect(await becomes('DatabaseAway')).toContain('TLS');
  }, 60_000);
});
