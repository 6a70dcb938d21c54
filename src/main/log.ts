// The device's log: on stderr, as text on a terminal and as JSON lines elsewhere. stdout belongs to the commands' answers.

import { pino } from "pino";
import pretty from "pino-pretty";

export type Log = pino.Logger;

export function createLog(level: string): Log {
  const text = process.stderr.isTTY
    ? pretty({ destination: 2, sync: true, ignore: "pid,hostname", translateTime: "SYS:HH:MM:ss.l", colorize: true })
    : pino.destination({ dest: 2, sync: true });
  return pino({ level, base: null }, text);
}
