// One's own new password, sent to the API from here: the page's socket and the page on the server never hold it.
export default {
  template: `
    <form class="tp-form-plain" autocomplete="on" @submit.prevent="send">
      <input type="text" autocomplete="username" :value="account" hidden readonly>
      <q-input v-model="current" filled dense stack-label type="password" :label="strings.current" maxlength="256"
               autocomplete="current-password" :disable="busy"></q-input>
      <q-input v-model="wanted" filled dense stack-label type="password" :label="strings.wanted" maxlength="256"
               autocomplete="new-password" :disable="busy" aria-describedby="tp-password-rules"></q-input>
      <q-input v-model="again" filled dense stack-label type="password" :label="strings.again" maxlength="256"
               autocomplete="new-password" :disable="busy"></q-input>
      <p id="tp-password-rules" class="tp-note">{{ strings.rules }}</p>
      <p v-if="error" class="tp-error" role="alert">{{ error }}</p>
      <div class="tp-line">
        <q-btn type="submit" no-caps outline dense class="tp-plain" icon="lock_reset" :label="strings.change"
               :disable="busy"></q-btn>
      </div>
    </form>`,
  props: { strings: Object, account: String },
  data() {
    return { current: "", wanted: "", again: "", error: "", busy: false };
  },
  methods: {
    async send() {
      this.error = !this.current || !this.wanted ? this.strings.empty : this.wanted !== this.again ? this.strings.differ : "";
      if (this.error || this.busy) return;
      this.busy = true;
      try {
        const answer = await fetch("/api/v1/users/me/password", {
          method: "POST",
          headers: { "Content-Type": "application/json", "X-Tapetum-Request": "1" },
          body: JSON.stringify({ current: this.current, new: this.wanted }),
        });
        if (answer.ok) {
          window.tapetumLeaving = true; // this session has ended too, and that is no surprise
          location.replace("/login?because=password&next=" + encodeURIComponent(location.pathname));
          return;
        }
        const problem = await answer.json();
        this.error = problem.detail;
      } catch {
        this.error = this.strings.unreachable;
      }
      this.busy = false;
    },
  },
};
