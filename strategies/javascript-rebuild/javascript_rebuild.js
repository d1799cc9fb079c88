// Builds an index anew that is invalid or answers badly, and takes the first build that is good enough.
//
// Granted in the configuration as `[policy.javascript_rebuild.grant]`: build-beside, compare, swap, discard.
//
// The functions that are exported here are the exports of the world `strategy` in wit/policy.wit, in camelCase; what
// the host offers is imported from `pgheal:policy/...`. An `option` is a value or undefined, a `variant` is
// `{ tag, val }`, a u64 is a BigInt. There is no clock, no randomness, no file and no network, and every call runs in
// a fresh instance: nothing is remembered between them but what is in the result's details.

import { buildBeside, compare, discard, swap } from 'pgheal:policy/actions@0.1.0';
import { write as log } from 'pgheal:policy/log@0.1.0';
import { health, pastDurationMs } from 'pgheal:policy/measure@0.1.0';
import { get as settingInForce } from 'pgheal:policy/settings@0.1.0';

const REPAIR_TYPE = 'index_rebuild';

/// Builds of an hnsw graph, from sparse to dense: [m, ef_construction].
const DENSER = [[16, 64], [24, 128], [32, 200], [48, 200]];
/// Where no rebuild has been measured yet.
const ESTIMATE_MS = 300_000n;

export function name() {
  return 'javascript_rebuild';
}

/// What an operator can write into `[policy.javascript_rebuild.settings]`; the host checks it against this.
export function settings() {
  return [
    {
      name: 'max_builds',
      kind: { tag: 'integer', val: [0n, 4n] },
      defaultValue: '3',
      description: 'Builds of one repair, each denser.',
    },
    {
      name: 'max_size_gb',
      kind: { tag: 'number', val: [0, 100_000] },
      defaultValue: '50',
      description: 'The house rule: a larger index is rebuilt by people.',
    },
  ];
}

export function canRepair(issue) {
  return issue.index !== undefined && ['invalid-index', 'low-recall', 'blind-spots'].includes(issue.kind.tag);
}

export function propose(issue, context) {
  const before = measured(issue);
  const refusal = houseRule(before, context);
  if (refusal !== undefined) return `nothing: ${refusal}`;
  const builds = buildsFor(issue, before);
  if (builds.length === 0) return 'nothing: there is no denser graph to build';
  return `build anew ${describe(builds[0])} beside the old index, swap if it measures better`;
}

export function repair(issue, context) {
  return answering(() => {
    if (!canRepair(issue)) throw { tag: 'unsupported-issue' };
    const before = measured(issue);
    const refusal = houseRule(before, context);
    if (refusal !== undefined) throw { tag: 'cannot-improve', val: refusal };
    const tried = [];
    for (const options of buildsFor(issue, before)) {
      const candidate = buildBeside(issue.index, options);
      const comparison = compare(candidate);
      const missing = whatIsMissing(issue, comparison, context);
      if (missing === undefined) {
        swap(candidate);
        return success({
          build: describe(options),
          builds: tried.length + 1,
          gate: comparison.reason,
          recall_before: comparison.before.recall,
          recall_after: comparison.after.recall,
          recall_target: context.recallTarget,
          max_blind_share: context.maxBlindShare,
        });
      }
      log('info', `build ${describe(options)}: ${missing}`);
      discard(candidate);
      tried.push(`${describe(options)}: ${missing}`);
    }
    throw { tag: 'cannot-improve', val: tried.join('; ') || 'there is no denser graph to build' };
  });
}

/// The index is measured once more, under the name that it has now.
export function validate(issue, outcome) {
  const detail = (name) => Number(outcome.details.find((detail) => detail.name === name)?.value);
  return shortfall(issue, health(issue.index), detail('recall_target'), detail('max_blind_share')) === undefined;
}

/// All that was changed lies in the host's journal, and the host takes it back.
export function rollback(_outcome) {}

export function estimatedDuration(_issue) {
  return pastDurationMs(REPAIR_TYPE) ?? ESTIMATE_MS;
}

/// Why this index is left alone; undefined where it is not.
function houseRule(before, context) {
  const limitGb = Number(settingInForce('max_size_gb'));
  const sizeGb = Number(before?.sizeBytes ?? 0) / 1e9;
  if (sizeGb > limitGb) return `it has ${sizeGb.toPrecision(2)} GB, and above ${limitGb} GB people rebuild`;
  if (context.rebuildRefused !== undefined) return `it cannot be built beside: ${context.rebuildRefused}`;
  return undefined;
}

/// What to build, in this order. An invalid index, and one with lists, is built as it was meant to be.
function buildsFor(issue, before) {
  const asItIs = { m: undefined, efConstruction: undefined, lists: undefined };
  let builds = [asItIs];
  if (issue.index.method === 'hnsw' && before?.m !== undefined) {
    const denser = DENSER.filter(([m]) => m > before.m)
      .map(([m, efConstruction]) => ({ ...asItIs, m, efConstruction: Math.max(efConstruction, before.efConstruction ?? 0) }));
    builds = issue.kind.tag === 'invalid-index' ? [asItIs, ...denser] : denser;
  }
  return builds.slice(0, Number(settingInForce('max_builds')));
}

/// The gate says that a build is no worse. It is taken where it also reaches the targets.
function whatIsMissing(issue, comparison, context) {
  if (!comparison.gatePassed) return `the gate is not passed: ${comparison.reason}`;
  return shortfall(issue, comparison.after, context.recallTarget, context.maxBlindShare);
}

/// Undefined where the targets are reached. What could not be measured does not reach them.
function shortfall(issue, { recall, blindShare }, recallTarget, maxBlindShare) {
  if (issue.kind.tag === 'invalid-index') return undefined;
  if (recall === undefined || blindShare === undefined) return 'its recall could not be measured';
  if (recall >= recallTarget && blindShare <= maxBlindShare) return undefined;
  return `recall ${recall.toFixed(4)}, ${(blindShare * 100).toFixed(2)} % blind queries`;
}

/// Undefined where the index cannot be measured, as an invalid one.
function measured(issue) {
  try {
    return health(issue.index);
  } catch (error) {
    if (issue.kind.tag === 'invalid-index') return undefined;
    throw error;
  }
}

function describe({ m, efConstruction }) {
  return m === undefined ? 'with the same parameters' : `with m = ${m}, ef_construction = ${efConstruction}`;
}

function success(facts) {
  const details = Object.entries(facts)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ({ name, value: String(value) }));
  // The host fills in the duration.
  return { success: true, repairType: REPAIR_TYPE, durationMs: 0n, backup: undefined, details };
}

/// A refusal of the host arrives as an exception whose `payload` is the `host-error`; here it becomes the
/// `repair-error` that repair() may throw. An error of this program ends the call as a trap: the log is where its words
/// can be read, since there is no console.
function answering(work) {
  try {
    return work();
  } catch (error) {
    if (error instanceof Error && error.payload === undefined) log('error', `${error}\n${error.stack}`);
    if (error?.payload === undefined) throw error;
    const { tag, val } = error.payload;
    throw { tag: tag === 'gate-failed' ? 'validation-failed' : 'host', val: `${tag}: ${[val].flat().join(' ')}` };
  }
}
