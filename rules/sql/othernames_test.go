package sql

import (
	"errors"
	"strings"
	"testing"
)

// Names of other tools are answered with what to write, which then compiles.
func TestOtherNames(t *testing.T) {
	for _, c := range []struct{ names, arguments, hint, instead string }{
		{"ifnull nvl isnull", "(name, 'x')", "write coalesce(…)", "coalesce(name, 'x')"},
		{"if iif", "(pid > 1, 'a', 'b')", "write CASE", "CASE WHEN pid > 1 THEN 'a' ELSE 'b' END"},
		{"len", "(name)", "write length(…)", "length(name)"},
		{"instr charindex locate", "(name, 'x')", "write position(part IN text)", "position('x' IN name)"},
		{"group_concat listagg", "(name)", "write string_agg(…, ',')", "string_agg(name, ',')"},
		{"strftime date_format", "(time)", "write to_char(", "to_char(collection_time, 'YYYY-MM-DD HH24:MI:SS')"},
		{"median quantile percentile", "(pid)", "write percentile_cont(0.5)", "percentile_cont(0.5) WITHIN GROUP (ORDER BY pid)"},
		{"time_bucket bin", "(time)", "write date_bin(", "date_bin('5 minutes', collection_time, '2026-01-01')"},
		{"split", "(name)", "write string_to_array(", "string_to_array(name, ','), split_part(name, ',', 1)"},
		{"list_contains array_contains has", "(ancestors, 'x')", "write x = ANY (array)", "'x' = ANY (ancestors)"},
		{"contains", "(name, 'x')", "write text LIKE", "name LIKE '%part%'"},
		{"count_distinct approx_count_distinct dc dcount uniq", "(name)", "write count(DISTINCT …)", "count(DISTINCT name)"},
		{"any_value first last", "(name)", "write min(…)", "min(name)"},
		{"arg_max arg_min argmax argmin max_by min_by", "(name, pid)", "write (array_agg(", "(array_agg(name ORDER BY pid DESC))[1]"},
		{"cidrmatch cidr_match in_cidr_block", "(name, 'x')", "write address::inet <<=", "name::inet <<= '10.0.0.0/8'"},
		{"datetime clock_timestamp timeofday getdate sysdate", "()", "write now()", "now()"},
		{"unixepoch unix_timestamp", "()", "write extract(epoch FROM now())", "extract(epoch FROM now())"},
		{"json_extract json_value jsonb_path_query", "(namespaces, 'x')", "write json->'key'->>'key'", "namespaces->'key'->>'key', namespaces #>> '{key,key}'"},
		{"random rand gen_random_uuid", "()", "every run of a query gives the same", "1"},
	} {
		for name := range strings.FieldsSeq(c.names) {
			_, err := Compile("SELECT "+name+c.arguments+" FROM processes", Config{})
			if e := new(Error); !errors.As(err, &e) || !strings.HasPrefix(e.Hint, c.hint) {
				t.Errorf("%s%s: %v, want the hint %q", name, c.arguments, err, c.hint)
			}
		}
		if _, err := Compile("SELECT "+c.instead+" FROM processes", Config{}); err != nil {
			t.Errorf("instead of %s: %v", c.names, err)
		}
	}
	for _, c := range []struct{ names, table, column string }{
		{"uid", "processes", "user_id"},
		{"gid", "processes", "group_id"},
		{"euid", "processes", "effective_user_id"},
		{"parent parent_pid parent_process_id parent_id", "processes", "ppid"},
		{"process_id", "processes", "pid"},
		{"process_name comm", "processes", "name"},
		{"image binary_path", "processes", "executable_path"},
		{"args argv commandline arguments", "processes", "command_line"},
		{"sha256 hashes", "processes", "executable_hash"},
		{"ts timestamp event_time _time", "process_events", "time"},
		{"event_type action", "process_events", "event"},
		{"account", "processes", "user_name"},
	} {
		for name := range strings.FieldsSeq(c.names) {
			_, err := Compile("SELECT "+name+" FROM "+c.table, Config{})
			if want := `did you mean "` + c.column + `"?`; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s in %s: %v, want %q", name, c.table, err, want)
			}
		}
	}
}
