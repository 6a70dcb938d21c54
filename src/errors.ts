// The one error class for what a user can mend: it says what was being done, what was found, and what to do about it.

export type ErrorCode =
  | "usage" // the command line
  | "config" // a configuration or program file, or an option
  | "rights" // a capability is missing
  | "interface" // an interface is missing, busy, or of the wrong kind
  | "file" // a capture or output file
  | "addon" // the native addon is missing or does not load
  | "aead" // no AEAD provider that works
  | "grpc" // a gRPC call, the listening socket or its certificates
  | "full"; // a table or queue is at its bound

export class SluiceError extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
    this.name = "SluiceError";
  }
}
