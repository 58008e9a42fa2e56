// The notices, at the lower edge.
import { dismiss, notices } from "nanoraster/notices.js";

export default {
  template: `
    <div class="notices" role="status">
      <div v-for="notice in notices" :key="notice.number" class="notice" :class="notice.kind">
        <span>{{ notice.text }}</span>
        <button class="plain" aria-label="Dismiss" @click="dismiss(notice.number)">×</button>
      </div>
    </div>`,
  data: () => ({ notices }),
  methods: { dismiss },
};
