// Which AEAD provider a device uses (`ipsec.aead`): the one that is named, or of those that are there the fastest; never one
// whose known answers are wrong.

import { SluiceError } from "../errors.js";
import { native } from "../native.js";
import { AEAD_NAMES, type Aead, type AeadName } from "./aead.js";
import { failedAnswer } from "./known-answers.js";
import { NodeAead } from "./node.js";

export interface ChosenAead {
  readonly aead: Aead;
  /** Why this one, in a sentence for the log. */
  readonly reason: string;
}

/**
 * Runs the known answers, on memory of its own.
 * @param frames the frame memory in which jobs lie; empty for who only asks which one it will be
 * @param open throws an Error that says why there is none
 */
export function chooseAead(wanted: AeadName | "auto", frames: Uint8Array, open: typeof openAead = openAead): ChosenAead {
  if (wanted !== "auto") {
    const failure = failureOf(wanted, open);
    if (failure !== undefined) {
      const advice = "name another one, or auto, which takes the fastest that works";
      throw new SluiceError("aead", `ipsec.aead: ${wanted} cannot be used: ${failure}; ${advice}`);
    }
    return { aead: open(wanted, frames), reason: `${wanted}, as ipsec.aead asks` };
  }
  const passedOver: string[] = [];
  for (const name of AEAD_NAMES) {
    const failure = failureOf(name, open);
    if (failure === undefined) {
      return { aead: open(name, frames), reason: [`${name}, the fastest that works`, ...passedOver].join("; ") };
    }
    passedOver.push(`not ${name}: ${failure}`);
  }
  throw new SluiceError("aead", `ipsec.aead: no provider works: ${passedOver.join("; ")}; run \`npm run build\` again`);
}

function failureOf(name: AeadName, open: typeof openAead): string | undefined {
  try {
    return failedAnswer((frames) => open(name, frames));
  } catch (error) {
    return (error as Error).message;
  }
}

/** Unchecked: chooseAead is for who is going to trust it. */
export function openAead(name: AeadName, frames: Uint8Array): Aead {
  return name === "node" ? new NodeAead(frames) : new native.Aead(name, frames);
}
