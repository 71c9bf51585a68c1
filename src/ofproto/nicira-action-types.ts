import type { BundleFixed, LearnFixed, MultipathFixed } from './action-structs.ts';
import type { Action } from './actions.ts';
import type { LearnSpec } from './learn-spec.ts';
import type { FieldId } from './oxm.ts';
import type { Fields } from './struct.ts';

/** Bits of a field: from bit `ofs` (0 is the lowest) upwards. */
export type FieldBits = FieldId & { readonly ofs: number };
/** Bits of a field with their number. */
export type FieldRange = FieldId & { readonly ofs: number; readonly nBits: number };

type Learn = Readonly<Fields<(typeof LearnFixed)['table']>> & { readonly specs: readonly LearnSpec[] };
type Multipath = Readonly<Fields<(typeof MultipathFixed)['table']>>;
/** What bundle and bundle_load have in common. */
export type BundleHash = Omit<
  Readonly<Fields<(typeof BundleFixed)['table']>>,
  'memberCount' | 'ofsNbits' | 'dst' | 'memberType'
> & {
  readonly memberType: FieldId;
  /** 16-bit ports. */
  readonly members: readonly number[];
};

/** One property of controller2. */
export type ControllerProperty =
  | { readonly prop: 'maxLen'; readonly maxLen: number }
  | { readonly prop: 'controllerId'; readonly controllerId: number }
  | { readonly prop: 'reason'; readonly reason: number }
  | { readonly prop: 'userdata'; readonly userdata: Uint8Array }
  | { readonly prop: 'pause' }
  | { readonly prop: 'meterId'; readonly meterId: number }
  | { readonly prop: 'unknown'; readonly propType: number; readonly bytes: Uint8Array };

/** One property of encap. */
export interface EncapProperty {
  readonly propClass: number;
  readonly propType: number;
  readonly bytes: Uint8Array;
}

/** Nicira's actions of varying size. */
export type VariableNicira =
  | { readonly type: 'nxRegMove'; readonly nBits: number; readonly src: FieldBits; readonly dst: FieldBits }
  | { readonly type: 'nxRegLoad'; readonly dst: FieldRange; readonly value: bigint }
  | { readonly type: 'nxNote'; readonly note: Uint8Array }
  | ({ readonly type: 'nxMultipath'; readonly dst: FieldRange } & Multipath)
  | ({ readonly type: 'nxBundle' } & BundleHash)
  | ({ readonly type: 'nxBundleLoad'; readonly dst: FieldRange } & BundleHash)
  | { readonly type: 'nxOutputReg'; readonly src: FieldRange; readonly maxLen: number }
  | { readonly type: 'nxOutputReg2'; readonly src: FieldRange; readonly maxLen: number }
  | ({ readonly type: 'nxLearn' } & Learn)
  | ({
      readonly type: 'nxLearn2';
      readonly limit: number;
      readonly resultOfs: number;
      readonly result?: FieldId;
    } & Learn)
  | { readonly type: 'nxDecTtlCntIds'; readonly ids: readonly number[] }
  | { readonly type: 'nxStackPush'; readonly src: FieldRange }
  | { readonly type: 'nxStackPop'; readonly dst: FieldRange }
  | {
      readonly type: 'nxCt';
      /** 1 commit, 2 force. */
      readonly flags: number;
      readonly zone: number | FieldRange;
      /** Table to go on in; 255 none. */
      readonly recircTable: number;
      readonly alg: number;
      readonly actions: readonly Action[];
    }
  | {
      readonly type: 'nxNat';
      /** 1 source, 2 destination, 4 persistent, 8 hash, 16 random. */
      readonly flags: number;
      readonly ipv4Min?: number;
      readonly ipv4Max?: number;
      readonly ipv6Min?: bigint;
      readonly ipv6Max?: bigint;
      readonly protoMin?: number;
      readonly protoMax?: number;
    }
  | { readonly type: 'nxController2'; readonly props: readonly ControllerProperty[] }
  | { readonly type: 'nxClone'; readonly actions: readonly Action[] }
  | {
      readonly type: 'nxEncap';
      readonly headerSize: number;
      readonly newPacketType: number;
      readonly props: readonly EncapProperty[];
    }
  | { readonly type: 'nxCheckPktLarger'; readonly packetLength: number; readonly dst: FieldBits }
  | { readonly type: 'nxDeleteField'; readonly target: FieldId };
