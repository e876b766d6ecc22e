package roles

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"daemoneye/ledger"
	"daemoneye/roles/fact"
)

// entries are all that can be read of the instance's ledger now.
func (in *instance) entries() (list []ledger.Entry) {
	in.t.Helper()
	r, err := ledger.OpenReader(filepath.Join(in.dir, "ledger"))
	if err != nil {
		return nil // not made yet
	}
	size, err := r.Size()
	if err != nil {
		in.t.Fatal(err)
	}
	for e, err := range r.Range(0, size) {
		if err != nil {
			in.t.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}

// entered returns the payloads of the entries with an action and subject; ""
// stands for any.
func (in *instance) entered(action, subject string) (payloads []map[string]any) {
	in.t.Helper()
	for _, e := range in.entries() {
		if e.Action != action || subject != "" && e.Subject != subject {
			continue
		}
		text, err := fact.JSON(e.Payload)
		if err != nil {
			in.t.Fatal(err)
		}
		payload := map[string]any{}
		if err := json.Unmarshal(text, &payload); err != nil {
			in.t.Fatal(err)
		}
		payload["role"], payload["user"], payload["correlation"], payload["pid_of_actor"] = e.Actor.Role, e.Actor.UID, e.Correlation, e.Actor.PID
		payloads = append(payloads, payload)
	}
	return payloads
}

// publicKey is that of the entry 0.
func (in *instance) publicKey() string {
	in.t.Helper()
	return in.entries()[0].Subject
}

const ledgerRule = `-- id: test-ledger-alarm
-- title: Canary
-- severity: high
SELECT pid, name, command_line FROM process_events WHERE event = 'exec' AND command_line LIKE '%%%s%%'
`

// What the roles do is in the ledger, which outlives them and can be verified
// and proved.
func TestLedgerOfRun(t *testing.T) {
	rules := writeRule(t, "alarm.sql", fmt.Sprintf(ledgerRule, "canary-ledger"))
	in := start(t, nil, "--rules", rules)
	in.eventually("the roles' starts are entered", func() bool {
		return len(in.entered(fact.RoleStart, "procmond")) == 1 && len(in.entered(fact.RoleStart, "daemoneye-agent")) == 1 &&
			len(in.entered(fact.RoleStart, "supervisor")) == 1 && len(in.entered(fact.RulesLoaded, "")) > 0
	})
	h, _ := in.health()
	for _, role := range []string{"procmond", "daemoneye-agent", "supervisor"} {
		p := in.entered(fact.RoleStart, role)[0]
		if p["pid"] != float64(h.pid(role)) || p["role"] != role && role != "supervisor" || len(p["program"].(string)) != 64 || len(p["configuration"].(string)) != 64 || p["version"] != "test" {
			t.Errorf("the start of %s is entered as %v", role, p)
		}
	}
	if got := in.entered(fact.CollectorRegistered, ""); len(got) != 1 || got[0]["pid"] != float64(h.pid("procmond")) {
		t.Errorf("the collector's registration is entered as %v", got)
	}
	first, _, status := in.client("ledger", "checkpoint")
	if status != 0 {
		t.Fatalf("ledger checkpoint: status %d, %s", status, first)
	}

	// An alert, with the row of which it was raised.
	sleeper(t, "/opt/canary-ledger")
	var alert map[string]any
	in.eventually("an alert is entered", func() bool {
		list := in.entered(fact.AlertRaised, "test-ledger-alarm")
		if len(list) > 0 {
			alert = list[0]
		}
		return alert != nil
	})
	id := alert["correlation"].(string)
	in.eventually("the alert is stored", func() bool {
		return len(in.query("SELECT 1 FROM alerts WHERE alert_id = '"+id+"'")) == 1
	})
	out, errOut, status := in.client("ledger", "verify-event", "--alert", id, "--public-key", in.publicKey())
	if status != 0 || strings.Count(out, "as the ledger says") != 2 {
		t.Errorf("verify-event: status %d\n%s%s", status, out, errOut)
	}

	// Rules that change, are refused, and are switched.
	file := filepath.Join(rules, "alarm.sql")
	if err := os.WriteFile(file, []byte(fmt.Sprintf(ledgerRule, "other")), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, _, status := in.client("rules", "reload"); status != 0 {
		t.Fatalf("rules reload: %s", out)
	}
	if out, errOut, status := in.client("rules", "disable", "test-ledger-alarm"); status != 0 {
		t.Fatalf("rules disable: %s%s", out, errOut)
	}
	if err := os.WriteFile(file, []byte("SELECT nothing"), 0o644); err != nil {
		t.Fatal(err)
	}
	in.client("rules", "reload")
	in.eventually("the rules' changes are entered", func() bool {
		return len(in.entered(fact.RulesChanged, "")) > 0 && len(in.entered(fact.RuleDisabled, "test-ledger-alarm")) == 1 && len(in.entered(fact.RulesRefused, file)) == 1 &&
			len(in.entered(fact.RulesKept, "")) > 0
	})
	if p := in.entered(fact.RuleDisabled, "")[0]; p["role"] != "operator" || p["user"] != uint32(os.Getuid()) {
		t.Errorf("who has disabled the rule is entered as %v", p)
	}
	if p := in.entered(fact.RulesRefused, file)[0]; p["hash"] != fact.SHA256([]byte("SELECT nothing")) || p["reason"] == "" {
		t.Errorf("the refused rule is entered as %v", p)
	}

	rows := in.query("SELECT payload->'source'->>'table' AS source, correlation, actor_role FROM ledger_entries WHERE action = 'alert.raised' AND subject = 'test-ledger-alarm'")
	if len(rows) != 1 || rows[0]["source"] != "process_events" || rows[0]["correlation"] != id || rows[0]["actor_role"] != "daemoneye-agent" {
		t.Errorf("ledger_entries has %v of the alert", rows)
	}
	if got := in.query("SELECT count(*) AS n FROM ledger_entries WHERE time < now() - INTERVAL '1 day'"); got[0]["n"] != float64(0) {
		t.Errorf("ledger_entries has %v older than a day", got)
	}
	in.eventually("the operator's query is entered", func() bool { return len(in.entered(fact.QueryRun, "")) > 0 })

	// A collector that is killed loses nothing, and its end is entered.
	pid := h.pid("procmond")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	in.eventually("the collector's second start is entered", func() bool {
		list := in.entered(fact.RoleStart, "procmond")
		return len(list) == 2 && list[1]["killed"].(map[string]any)["pid"] == float64(pid)
	})
	in.eventually("the gap is entered", func() bool { return len(in.entered(fact.EventGap, "process_events")) > 0 })
	before := in.entries()
	kept := filepath.Join(t.TempDir(), "kept.txt")
	if err := os.WriteFile(kept, []byte(first), 0o600); err != nil {
		t.Fatal(err)
	}
	live, errOut, status := in.client("ledger", "verify", "--checkpoint", kept, "--public-key", in.publicKey())
	if status != 0 || !strings.Contains(live, "whole") || !strings.Contains(live, "the ledger goes on from it") {
		t.Errorf("ledger verify while it runs: status %d\n%s%s", status, live, errOut)
	}
	in.proves(kept)

	if status := in.stop(os.Interrupt); status != 0 {
		t.Fatalf("exit status %d\n%s", status, in.logged())
	}
	after := in.entries()
	for i := range before {
		if before[i].LeafHash() != after[i].LeafHash() {
			t.Fatalf("entry %d was %+v and is %+v", i, before[i], after[i])
		}
	}
	if n := len(in.entered(fact.RoleStop, "procmond")); n != 1 {
		t.Errorf("%d stops of the collector are entered, want 1", n)
	}
	out, errOut, status = in.client("ledger", "verify", "--checkpoint", kept, "--public-key", in.publicKey())
	if status != 0 || !strings.Contains(out, "goes on from it") {
		t.Errorf("ledger verify: status %d\n%s%s", status, out, errOut)
	}

	// What the agent could not have entered any more comes with the next start.
	again := launch(t, in.dir, nil)
	again.eventually("the agent's stop is entered", func() bool { return len(again.entered(fact.RoleStop, "daemoneye-agent")) == 1 })
}

// proves makes proofs and an export and checks them with the public key alone.
func (in *instance) proves(kept string) {
	t := in.t
	t.Helper()
	dir := t.TempDir()
	for name, args := range map[string][]string{"inclusion": {"prove-inclusion", "2"}, "consistency": {"prove-consistency", kept}} {
		text, errOut, status := in.client(append([]string{"ledger"}, args...)...)
		if status != 0 {
			t.Errorf("%s: status %d, %s", name, status, errOut)
			continue
		}
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, errOut, status := in.client("ledger", "verify-proof", file, "--public-key", in.publicKey()); status != 0 || !strings.Contains(out, "the proof holds") {
			t.Errorf("verify-proof of %s: status %d\n%s%s", name, status, out, errOut)
		}
		wrong := strings.Replace(in.publicKey(), "+", "+0", 1)
		if _, _, status := in.client("ledger", "verify-proof", file, "--public-key", wrong); status != 1 {
			t.Errorf("verify-proof of %s with another key: status %d, want 1", name, status)
		}
	}
	copied := filepath.Join(dir, "copy")
	if _, errOut, status := in.client("ledger", "export", copied); status != 0 {
		t.Fatalf("ledger export: %s", errOut)
	}
	if _, err := os.Stat(filepath.Join(copied, "key")); err == nil {
		t.Error("the export has the private key")
	}
	if out, errOut, status := in.client("ledger", "verify", "--dir", copied, "--public-key", in.publicKey(), "--checkpoint", kept); status != 0 {
		t.Errorf("verify of the export: status %d\n%s%s", status, out, errOut)
	}
	bundle := filepath.Join(copied, "tile", "entries", "000")
	data, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	data[300] ^= 1
	if err := os.WriteFile(bundle, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _, status := in.client("ledger", "verify", "--dir", copied); status != 1 || !strings.Contains(out, "not whole") || !strings.Contains(out, "entry ") {
		t.Errorf("verify of a changed export: status %d\n%s", status, out)
	}
}
