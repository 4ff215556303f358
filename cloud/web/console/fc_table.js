// A list that stays in place while its rows change: rows are keyed, new ones glow once. On a phone rows become cards.
export default {
  template: `
    <div class="fc-table">
      <div v-if="!rows.length" class="fc-empty"><b>{{ empty.title }}</b>{{ empty.text }}
        <template v-if="empty.href"><br><a :href="empty.href">{{ empty.action }}</a></template></div>
      <table v-else :aria-label="label">
        <thead><tr><th v-for="c in columns" :key="c.key" scope="col" :class="c.css">{{ c.label }}</th></tr></thead>
        <transition-group tag="tbody" name="fc-row">
          <tr v-for="r in rows" :key="r.key" :class="{ linked: r.href }" :data-key="r.key">
            <td v-for="c in columns" :key="c.key" :class="c.css"><template v-for="x in [r.cells[c.key] || {}]">
              <span v-if="x.kind === 'severity'" :class="['sev', x.value]"><i aria-hidden="true"></i>{{ x.label }}</span>
              <fc-time v-else-if="x.kind === 'time' && x.at" :at="x.at"></fc-time>
              <span v-else-if="x.kind === 'share'" class="fc-prob"><span>{{ x.text }}</span>
                <span class="bar" aria-hidden="true"><i :style="{ width: x.percent + '%' }"></i></span></span>
              <template v-else>
                <a v-if="x.link" class="main" :href="r.href">{{ x.text }}</a>
                <a v-else-if="x.href" :href="x.href" :class="x.css" style="position:relative;z-index:1">{{ x.text }}</a>
                <span v-else :class="x.css">{{ x.text }}</span>
              </template>
              <span v-if="x.under || x.code || x.mark" class="under"><span v-if="x.code" class="tag code">{{ x.code }}</span><span
                v-if="x.mark" class="tag act">{{ x.mark }}</span>{{ x.under }}</span>
            </template></td>
          </tr>
        </transition-group>
      </table>
    </div>`,
  props: { columns: Array, rows: Array, empty: Object, label: String },
};
