// Runs a WASI program in Node, with this machine's files and environment: node scripts/wasi.mjs PROGRAM ARGUMENT...
import { readFile } from 'node:fs/promises';
import process, { argv, env } from 'node:process';
import { WASI } from 'node:wasi';

const args = argv.slice(2);
const wasi = new WASI({ version: 'preview1', args, env, preopens: { '/': '/' } });
const module = await WebAssembly.compile(await readFile(args[0]));
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
// Not process.exit, which does not wait until V8's compiler threads are done with the program.
process.exitCode = wasi.start(instance);
