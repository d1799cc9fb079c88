// Builds an index anew that is invalid or answers badly, and takes the first build that is good enough.
//
// The functions that are exported here are the exports of the world `strategy` in wit/policy.wit, in camelCase; what
// the host offers is imported from `pgheal:policy/...`. An `option` is a value or undefined, a `variant` is
// `{ tag, val }`, a u64 is a BigInt. There is no clock, no randomness, no file and no network, and every call runs in
// a fresh instance: nothing is remembered between them but what is in the result's details.

import { buildBeside, compare, discard, swap } from 'pgheal:policy/actions@0.1.0';
import { write as log } from 'pgheal:policy/log@0.1.0';
import { health, pastDurationMs } from 'pgheal:policy/measure@0.1.0';

const REPAIR_TYPE = 'index_rebuild';

/// Builds of an hnsw graph, from sparse to dense: [m, ef_construction].
const DENSER = [[16, 64], [24, 128], [32, 200], [48, 200]];
/// Each is a whole build. The operator's setting `max_builds` replaces it.
const MAX_BUILDS = 3;
/// The house rule: an index larger than this is rebuilt by people. The operator's setting `max_size_gb` replaces it.
const MAX_SIZE_GB = 50;
/// Where no rebuild has been measured yet.
const ESTIMATE_MS = 300_000n;

export function name() {
  return 'javascript_rebuild';
}

export function canRepair(issue) {
  return issue.index !== undefined && ['invalid-index', 'low-recall', 'blind-spots'].includes(issue.kind.tag);
}

export function propose(issue, context) {
  const builds = buildsFor(issue, measured(issue), context);
  return builds.length === 0
    ? 'nothing: there is no denser graph to build'
    : `build anew ${describe(builds[0])} beside the old index, swap if it measures better`;
}

export function repair(issue, context) {
  return answering(() => {
    if (!canRepair(issue)) throw { tag: 'unsupported-issue' };
    const before = measured(issue);
    checkHouseRules(before, context);
    const tried = [];
    for (const options of buildsFor(issue, before, context)) {
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

function checkHouseRules(before, context) {
  const limitGb = setting(context, 'max_size_gb', MAX_SIZE_GB);
  const sizeGb = Number(before?.sizeBytes ?? 0) / 1e9;
  if (sizeGb > limitGb) {
    throw { tag: 'cannot-improve', val: `it has ${sizeGb.toFixed(1)} GB; above ${limitGb} GB people rebuild` };
  }
  if (context.rebuildRefused !== undefined) {
    throw { tag: 'cannot-improve', val: `it cannot be built beside: ${context.rebuildRefused}` };
  }
}

/// What to build, in this order. An invalid index, and one with lists, is built as it was meant to be.
function buildsFor(issue, before, context) {
  const asItIs = { m: undefined, efConstruction: undefined, lists: undefined };
  let builds = [asItIs];
  if (issue.index.method === 'hnsw' && before?.m !== undefined) {
    const denser = DENSER.filter(([m]) => m > before.m)
      .map(([m, efConstruction]) => ({ ...asItIs, m, efConstruction: Math.max(efConstruction, before.efConstruction ?? 0) }));
    builds = issue.kind.tag === 'invalid-index' ? [asItIs, ...denser] : denser;
  }
  return builds.slice(0, setting(context, 'max_builds', MAX_BUILDS));
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

function setting(context, name, otherwise) {
  const found = context.settings.find(([key]) => key === name);
  const value = found === undefined ? otherwise : Number(found[1]);
  if (!(value >= 0)) throw { tag: 'host', val: `the setting ${name} is no number: ${found[1]}` };
  return value;
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
