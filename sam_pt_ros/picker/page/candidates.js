// What a click would mean where the pointer rests, and which of it is chosen.

const FRESH = 2000; // milliseconds for which outlines stay: what they show may move on
const NOTCH = 50; // CSS pixels of the wheel from one candidate to the next

export class Candidates {
  // `ask` asks the server, and `changed` is called when others are shown, or none.
  constructor(sketch, ask, changed) {
    Object.assign(this, { sketch, ask, changed, shown: [], chosen: 0, request: 0 });
    this.wanted = null; // the newest question that has no answer yet
    this.asking = false;
    this.turned = 0;
  }

  // Ask, one question at a time; of several that wait, the newest.
  async want(question) {
    this.wanted = question;
    if (this.asking) return;
    this.asking = true;
    while (this.wanted) {
      const asked = this.wanted;
      const answer = await this.ask(asked);
      if (this.wanted !== asked) continue; // the pointer has moved meanwhile
      this.wanted = null;
      if (answer.ok) this.show(answer.request, answer.candidates);
    }
    this.asking = false;
  }

  show(request, candidates) {
    Object.assign(this, { request, shown: candidates, chosen: 0, turned: 0 });
    this.sketch.candidates(candidates, 0);
    this.changed();
    this.expire();
  }

  expire() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.clear(), FRESH);
  }

  clear() {
    clearTimeout(this.timer);
    this.wanted = null;
    if (!this.shown.length) return;
    this.shown = [];
    this.sketch.clear("candidates");
    this.changed();
  }

  // Choose another; whether there is one.
  turn(step) {
    const count = this.shown.length;
    if (count < 2) return false;
    this.chosen = (this.chosen + step + count) % count;
    this.expire();
    this.sketch.candidates(this.shown, this.chosen);
    this.changed();
    return true;
  }

  // Choose with the wheel; whether it was used.
  wheel(event) {
    if (this.shown.length < 2 || event.ctrlKey) return false;
    this.turned += event.deltaY * (event.deltaMode === 0 ? 1 : NOTCH);
    if (Math.abs(this.turned) >= NOTCH) {
      this.turn(Math.sign(this.turned));
      this.turned = 0;
    }
    return true;
  }
}
