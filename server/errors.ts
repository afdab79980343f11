// Errors that are the user's to mend, and the exit codes of the command line.

export const EXIT = { done: 0, failed: 1, badInput: 2, noGpu: 3, interrupted: 130 } as const;

/** Something the user can mend: its message says what is wrong and how, on one line. */
export class UserError extends Error {
  override name = "UserError";
  readonly exitCode: number;

  constructor(message: string, exitCode: number = EXIT.badInput) {
    super(message);
    this.exitCode = exitCode;
  }
}
