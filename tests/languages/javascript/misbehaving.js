// Does what its issue's id says, as the guest `misbehaving` does in Rust.

import { write as log } from 'pgheal:policy/log@0.1.0';

export const name = () => 'javascript_misbehaving';

export const settings = () => [];

export function canRepair(issue) {
  while (issue.id === 'loop');
  return true;
}

export function propose(issue, _context) {
  try {
    return misbehave(issue.id);
  } catch (error) {
    // The words of an error that ends the call are those of the last error in the log.
    log('error', `${error}\n${error.stack}`);
    throw error;
  }
}

export const repair = () => {
  throw { tag: 'unsupported-issue' };
};
export const validate = () => true;
export const rollback = () => {};
export const estimatedDuration = () => 1n;

function misbehave(id) {
  switch (id) {
    case 'loop':
      for (;;);
    case 'memory':
      for (const hoard = []; ; ) hoard.push(new Uint8Array(1 << 20).fill(1));
    case 'panic':
      throw new Error('on purpose');
    case 'overflow':
      return String(deeper(1));
    case 'capabilities':
      return JSON.stringify({
        now: attempt(() => Date.now()),
        random: attempt(() => Math.random()),
        uuid: attempt(() => crypto.randomUUID()),
      });
    case 'read-file':
      return attempt(() => process.env.HOME);
    case 'open-socket':
      return attempt(() => fetch('http://127.0.0.1:1/'));
    default:
      return `unknown misbehaviour ${id}`;
  }
}

const deeper = (depth) => 1 + deeper(depth + 1);

function attempt(work) {
  try {
    return String(work());
  } catch (error) {
    return `refused: ${error}`;
  }
}
