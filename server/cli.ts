// The command line: registers the commands, runs one, and turns what happens into an exit code and, when it is the
// user's to mend, one line.
import { cac, type CAC } from "cac";
import { EXIT, UserError } from "./errors.ts";

const COMMANDS = [
  "serve",
  "worker",
  "local",
  "run",
  "control",
  "export",
  "import",
  "eval",
  "sample",
  "plan",
  "simulate",
  "doctor",
];

interface CommandModule {
  register(cli: CAC): void;
}

export async function main(argv: string[]): Promise<void> {
  process.exit(await runCommand(argv));
}

async function runCommand(argv: string[]): Promise<number> {
  const cli = cac("tributary");
  cli.help();
  try {
    for (const name of COMMANDS) {
      const module = (await import(`./commands/${name}.ts`)) as CommandModule;
      module.register(cli);
    }
    cli.parse(argv, { run: false });
    if (cli.options.help) return EXIT.done;
    if (!cli.matchedCommand) {
      const [unknown] = cli.args;
      throw new UserError(
        unknown
          ? `there is no command '${unknown}': see tributary --help`
          : "give a command: see tributary --help",
      );
    }
    // What looks like a number came as one; each command reads its options itself.
    for (const [name, value] of Object.entries(cli.options)) {
      if (typeof value === "number") cli.options[name] = String(value);
    }
    const code: unknown = await cli.runMatchedCommand();
    return typeof code === "number" ? code : EXIT.done;
  } catch (error) {
    if (error instanceof UserError) {
      console.error(`tributary: ${error.message}`);
      return error.exitCode;
    }
    if (error instanceof Error && error.name === "CACError") {
      console.error(`tributary: ${error.message}: see tributary ${cli.matchedCommandName ?? ""} --help`);
      return EXIT.badInput;
    }
    console.error(error);
    return EXIT.failed;
  }
}
