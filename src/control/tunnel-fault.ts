// Why a tunnel request is not carried out (api.md 13): the reference's code, and a sentence that says what to change.
//
// The reference has no code for a table that is full and a device that cannot serve: request_status says these. 0 is a code
// too, so the sentence is what tells which of the four kinds is meant.

import {
  AddTunnelStatus,
  type Error as ErrorMessage,
  GeneveError,
  IPSecError,
  MatchError,
  type TunnelAdditionError,
  TunnelError,
} from "./gen/tunneloffload.js";

export class TunnelFault extends Error {
  constructor(
    sentence: string,
    readonly status: AddTunnelStatus,
    readonly codes?: Partial<TunnelAdditionError>,
  ) {
    super(sentence);
    this.name = "TunnelFault";
  }

  toMessage(): ErrorMessage {
    const none = { matchError: 0, tunnelError: 0, ipsecError: 0, geneveError: 0 };
    return { errorMessage: this.codes && { ...none, ...this.codes }, errorString: this.message };
  }
}

export type FaultOf = (sentence: string) => TunnelFault;

const { _TUNNEL_REJECTED, _TUNNEL_TABLE_FULL, _TUNNEL_TABLE_UNAVAILABLE, _TUNNEL_ALREADY_EXISTS } = AddTunnelStatus;

const rejected =
  (codes: Partial<TunnelAdditionError>): FaultOf =>
  (sentence) =>
    new TunnelFault(sentence, _TUNNEL_REJECTED, codes);

export const missingFields = rejected({ matchError: MatchError.MISING_FIELDS });
export const invalidTunnelId = rejected({ matchError: MatchError.INVALID_TUNNEL_ID });
export const invalidCapabilities = rejected({ matchError: MatchError.INVALID_CAPABILITIES });
export const invalidField = rejected({ matchError: MatchError.INVALID_FIELD });
export const notSupported = rejected({ tunnelError: TunnelError.NOT_SUPPORTED_TUNNEL });
export const invalidKey = rejected({ ipsecError: IPSecError.INVALID_KEY });
export const unsupportedEncryption = rejected({ ipsecError: IPSecError.NON_SUPPORTED_ENCRYPTION });
export const unsupportedTunnelType = rejected({ ipsecError: IPSecError.NON_SUPPORTED_TUNNEL_TYPE });
export const missingIpsecFields = rejected({ ipsecError: IPSecError.IPSEC_MISSING_FIELDS });
export const invalidOption = rejected({ geneveError: GeneveError.INVALID_OPTION });
export const tooManyOptions = rejected({ geneveError: GeneveError.TOO_MANY_OPTIONS });
export const invalidGeneveField = rejected({ geneveError: GeneveError.INVALID_GENEVE_FIELD });

export const alreadyExists: FaultOf = (sentence) =>
  new TunnelFault(sentence, _TUNNEL_ALREADY_EXISTS, { matchError: MatchError.INVALID_TUNNEL_ID });
export const tableFull: FaultOf = (sentence) => new TunnelFault(sentence, _TUNNEL_TABLE_FULL);
export const unavailable: FaultOf = (sentence) => new TunnelFault(sentence, _TUNNEL_TABLE_UNAVAILABLE);
