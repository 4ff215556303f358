// A list that stays in place while its rows change: rows are keyed, new ones glow once. On a phone rows become cards.
// A row with `divider` is a line between parts of the list; `why` is told below its row, over the whole width.
// Keys, unless somebody is typing: j and k move, Enter opens, x selects.
export default {
  template: `
    <div class="fc-table" ref="top">
      <div v-if="!rows.length" class="fc-empty"><b>{{ empty.title }}</b>{{ empty.text }}
        <template v-if="empty.href"><br><a :href="empty.href">{{ empty.action }}</a></template></div>
      <table v-else :aria-label="label">
        <thead><tr><th v-if="selectable" class="pick"><input type="checkbox" :aria-label="chooses" :checked="all"
          @change="pickAll($event.target.checked)"></th><th v-for="c in columns" :key="c.key" scope="col" :class="c.css">{{ c.label }}</th></tr></thead>
        <transition-group tag="tbody" name="fc-row">
          <template v-for="r in rows" :key="r.key">
          <tr v-if="r.divider" class="divider" key="line"><th :colspan="columns.length + (selectable ? 1 : 0)" scope="colgroup">{{ r.divider }}<span
            v-if="r.under" class="note">{{ r.under }}</span></th></tr>
          <tr v-else key="row" :class="[{ linked: r.href, here: r.key === here, picked: picked.has(r.key), reasoned: r.why }, r.css]" :data-key="r.key">
            <td v-if="selectable" class="pick"><input type="checkbox" :aria-label="chooses + ' ' + r.key" :checked="picked.has(r.key)"
              @change="pick(r.key)"></td>
            <td v-for="c in columns" :key="c.key" :class="c.css" :data-label="c.label"><template v-for="x in [r.cells[c.key] || {}]">
              <span v-if="x.kind === 'severity'" :class="['sev', x.value]"><i aria-hidden="true"></i>{{ x.label }}</span>
              <fc-time v-else-if="x.kind === 'time' && x.at" :at="x.at"></fc-time>
              <span v-else-if="x.kind === 'share'" class="fc-prob"><span>{{ x.text }}</span>
                <span class="bar" aria-hidden="true"><i :style="{ width: x.percent + '%' }"></i></span></span>
              <span v-else-if="x.kind === 'band'" class="fc-band"><span>{{ x.text }}</span><span class="bar" aria-hidden="true"><i
                :style="{ left: x.start + '%', width: x.width + '%' }"></i><b :style="{ left: x.place + '%' }"></b></span></span>
              <button v-else-if="x.kind === 'button'" type="button" class="fc-small" :aria-label="x.name || x.text"
                @click="$emit('act', r.key)">{{ x.text }}</button>
              <template v-else>
                <a v-if="x.link" class="main" :href="r.href">{{ x.text }}</a>
                <a v-else-if="x.href" :href="x.href" :class="x.css" style="position:relative;z-index:1">{{ x.text }}</a>
                <span v-else :class="x.css">{{ x.text }}</span>
              </template>
              <span v-if="x.under || x.code || x.mark" class="under"><span v-if="x.code" class="tag code">{{ x.code }}</span><span
                v-if="x.mark" class="tag act">{{ x.mark }}</span>{{ x.under }}</span>
            </template></td>
          </tr>
          <tr v-if="r.why" class="why" key="why"><td v-if="selectable" class="pick"></td><td :colspan="columns.length">{{ r.why }}</td></tr>
          </template>
        </transition-group>
      </table>
    </div>`,
  props: { columns: Array, rows: Array, empty: Object, label: String, selectable: Boolean, chooses: String },
  emits: ["act", "select"],
  data: () => ({ here: null, picked: new Set() }),
  computed: {
    entries() { return this.rows.filter((r) => !r.divider); },
    all() { return this.entries.length > 0 && this.entries.every((r) => this.picked.has(r.key)); },
  },
  watch: {
    rows() { // a row that has gone is not selected any more
      const keys = new Set(this.entries.map((r) => r.key));
      const kept = [...this.picked].filter((key) => keys.has(key));
      if (kept.length !== this.picked.size) this.choose(kept);
    },
  },
  mounted() { document.addEventListener("keydown", this.key); },
  unmounted() { document.removeEventListener("keydown", this.key); },
  methods: {
    choose(keys) { this.picked = new Set(keys); this.$emit("select", [...this.picked]); },
    pick(key) { const next = new Set(this.picked); if (!next.delete(key)) next.add(key); this.choose(next); },
    pickAll(on) { this.choose(on ? this.entries.map((r) => r.key) : []); },
    clear() { this.choose([]); },
    key(event) {
      const typing = event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable], dialog, .q-dialog");
      if (typing || event.ctrlKey || event.metaKey || event.altKey || !this.entries.length) return;
      if (document.querySelector(".fc-table") !== this.$refs.top) return; // the first list of a page has the keys
      const place = this.entries.findIndex((r) => r.key === this.here);
      if (event.key === "j" || event.key === "k") {
        const next = Math.min(this.entries.length - 1, Math.max(0, place + (event.key === "j" ? 1 : -1)));
        this.here = this.entries[next].key;
        this.$nextTick(() => this.$refs.top.querySelector("tr.here")?.scrollIntoView({ block: "nearest" }));
      } else if (event.key === "x" && this.selectable && place >= 0) this.pick(this.here);
      else if (event.key === "Enter" && place >= 0 && this.entries[place].href && event.target === document.body) location.href = this.entries[place].href;
      else return;
      event.preventDefault();
    },
  },
};
