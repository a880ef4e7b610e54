// The attacker, in a separate process: `node attacker.mjs NAME PORTS SECONDS`. It tells its parent how its requests or
// connections ended.
import { setMaxListeners } from "node:events";
import { ATTACKS } from "./attacks.mjs";
import { Outcomes } from "./outcomes.mjs";

const [name, portsText = "{}", seconds] = process.argv.slice(2);
const attack = ATTACKS.find((each) => each.name === name);
if (attack === undefined) throw new Error(`there is no attack "${name}"`);
const outcomes = new Outcomes();
const end = new AbortController();
// Hundreds of connections wait for the end.
setMaxListeners(0, end.signal);
setTimeout(() => end.abort(), Number(seconds) * 1000);
await attack.run({ ports: JSON.parse(portsText), seconds: Number(seconds), signal: end.signal, outcomes });
process.send?.(outcomes.take(), () => process.exit(0));
