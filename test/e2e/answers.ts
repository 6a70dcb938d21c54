// Enum values of the API by number, as api.md's message reference has them.

import { SessionCloseCode, SessionState } from "../../src/control/gen/openoffload.js";

export const STATE = SessionState as unknown as Record<number, string>;
export const CLOSED_BY = SessionCloseCode as unknown as Record<number, string>;
