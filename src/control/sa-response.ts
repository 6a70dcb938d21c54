// What the device says of its security associations: all but their keys.

import { sasOf } from "../table/rule.js";
import type { RuleInfo, RuleTable } from "../table/rule-table.js";
import { SA_FAILURES } from "../table/sa.js";
import type { SaTable } from "../table/sa-table.js";
import { type Sa, SaPage } from "./gen/sluice_tunnel.js";
import { fromSuite } from "./ipsec-suite.js";
import { toTimestamp } from "./translate.js";

/** An encoded SaPage for each. @param id of a tunnel; 0: of all */
export function* encodedSas(rules: RuleTable, sas: SaTable, id: bigint): Generator<Uint8Array> {
  const one = id === 0n ? undefined : rules.get(id);
  for (const info of id === 0n ? rules.list() : one === undefined ? [] : [one]) {
    // Those of a tunnel at once: while a client takes its time, the tunnel may lose them.
    const all = toSas(info, sas).map((sa) => SaPage.encode({ sas: [sa] }).finish());
    yield* all;
  }
}

function toSas({ rule: { id, tunnel } }: RuleInfo, sas: SaTable): Sa[] {
  if (tunnel.kind !== "ipsec-enc" && tunnel.kind !== "ipsec-dec") return [];
  return sasOf(tunnel).flatMap((sa) => {
    if (!("slot" in sa)) return [];
    const info = sas.info(sa.slot);
    return {
      tunnelId: id,
      spi: sa.spi,
      encrypts: info.seals,
      tunnelType: tunnel.mode as number,
      encryptionType: fromSuite(info.suite),
      esn: info.esn,
      replayWindow: info.replayWindow,
      packets: BigInt(info.packets),
      bytes: BigInt(info.bytes),
      sequenceNumber: info.sequence,
      failures: Object.fromEntries(
        SA_FAILURES.flatMap((name, i) => (info.failures[i] ? [[name, BigInt(info.failures[i])]] : [])),
      ),
      created: toTimestamp(info.created),
      lastUsed: info.lastUsed === 0 ? undefined : toTimestamp(info.lastUsed),
    };
  });
}
