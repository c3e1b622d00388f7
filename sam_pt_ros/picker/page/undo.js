// The gestures of this page that can be taken back, the newest last.

const MOST = 50;

export class UndoStack {
  constructor() {
    this.stack = [];
  }

  get empty() {
    return this.stack.length === 0;
  }

  // Remember a gesture: `object` is its object, `starts` whether it started that, `what` its name.
  add(gesture) {
    this.stack.push({ ...gesture, seen: false });
    if (this.stack.length > MOST) this.stack.shift();
  }

  // Drop the gestures of objects that were listed and are gone.
  prune(isListed, isGone) {
    for (const each of this.stack) each.seen ||= isListed(each.object);
    this.stack = this.stack.filter((each) => !(each.seen && isGone(each.object)));
  }

  // Drop all gestures of an object: older ones cannot be taken back where a newer one stays.
  forget(object) {
    this.stack = this.stack.filter((each) => each.object !== object);
  }

  take() {
    return this.stack.pop() ?? null;
  }

  clear() {
    this.stack = [];
  }
}
