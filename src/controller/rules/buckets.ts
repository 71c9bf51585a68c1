import { type Action, decodeActions, elementEnd, pad, struct, walk } from '../../ofproto/index.ts';

/** OpenFlow 1.3.5 §7.3.4.2, ofp_bucket without its actions. */
export const Bucket = struct('ofp_bucket', {
  len: ['u16', 'length of the bucket with its actions'],
  weight: ['u16', 'share of a select group'],
  watchPort: ['u32', 'port whose liveness decides'],
  watchGroup: ['u32', 'group whose liveness decides'],
  pad: [pad(4), ''],
});

/** OpenFlow 1.3.5 §7.3.4.5, ofp_meter_band_drop. */
export const DropBand = struct('ofp_meter_band_drop', {
  type: ['u16', 'OFPMBT_DROP'],
  len: ['u16', '16'],
  rate: ['u32', 'rate above which packets are dropped'],
  burstSize: ['u32', 'size of bursts'],
  pad: [pad(4), ''],
});

const bucketRule = { structure: 'ofp_bucket', lengthAt: 0, min: Bucket.size } as const;
const bandRule = { structure: 'ofp_meter_band_header', min: 12 } as const;

/** A bucket as it stands on the wire. */
export interface WireBucket {
  readonly weight: number;
  readonly watchPort: number;
  readonly watchGroup: number;
  readonly actions: readonly Action[];
}

/** Reads a bucket list that fills [at, end). Throws WireError. */
export function readBuckets(bytes: Buffer, at = 0, end = bytes.length): WireBucket[] {
  const buckets: WireBucket[] = [];
  walk(bytes, at, end, bucketRule, (from, to) => {
    Bucket.check(bytes, from, to);
    const { weight, watchPort, watchGroup } = Bucket.read(bytes, from);
    buckets.push({ weight, watchPort, watchGroup, actions: decodeActions(bytes, from + Bucket.size, to) });
  });
  return buckets;
}

/** A meter band as it stands on the wire. */
export interface WireBand {
  readonly type: number;
  readonly rate: number;
  readonly burstSize: number;
}

/** Reads a band list. Throws WireError. */
export function readBands(bytes: Buffer, at = 0, end = bytes.length): WireBand[] {
  const bands: WireBand[] = [];
  for (let here = at; here < end; ) {
    const stop = elementEnd(bytes, here, end, bandRule);
    const { type, rate, burstSize } = DropBand.read(bytes, here);
    bands.push({ type, rate, burstSize });
    here = stop;
  }
  return bands;
}
