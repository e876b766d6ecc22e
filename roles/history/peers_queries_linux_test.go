package history

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// peerQuery is a question for all engines.
type peerQuery struct {
	name string
	text string // ours and PostgreSQL's
	// Where a dialect differs.
	duck, sqlite string
}

func (q *peerQuery) forDuck() string {
	if q.duck != "" {
		return q.duck
	}
	return q.text
}

var timeLiteral = regexp.MustCompile(`timestamptz '([^']+)'`)

// forSQLite writes times as SQLite has them here: µs.
func (q *peerQuery) forSQLite() string {
	text := q.text
	if q.sqlite != "" {
		text = q.sqlite
	}
	return timeLiteral.ReplaceAllStringFunc(text, func(s string) string {
		at, err := time.Parse("2006-01-02 15:04:05Z07", timeLiteral.FindStringSubmatch(s)[1])
		if err != nil {
			return s // which SQLite will refuse
		}
		return strconv.FormatInt(at.UnixMicro(), 10)
	})
}

const beacons = `SELECT executable_path, user_name, count(*) AS n, avg(gap) AS mean, %[2]s AS spread
FROM (SELECT executable_path, user_name, %[1]s AS gap
      FROM process_events WHERE event = 'seen'
      WINDOW w AS (PARTITION BY executable_path, user_name ORDER BY time)) g
WHERE gap IS NOT NULL
GROUP BY executable_path, user_name
HAVING count(*) > %[3]d
ORDER BY %[2]s / avg(gap), executable_path, user_name
LIMIT 20`

// peerQueries are the hunts of the comparison, for the rows that were loaded.
func peerQueries(own loaded) []peerQuery {
	gap := "CAST(extract(epoch FROM time - lag(time) OVER w) AS double precision)"
	often := max(10, own.Rows/100_000)
	beaconing := fmt.Sprintf(beacons, gap, "stddev(gap)", often)
	beaconingLite := fmt.Sprintf(beacons, "(time - lag(time) OVER w) / 1e6", "sqrt((sum(gap * gap) - sum(gap) * sum(gap) / count(*)) / (count(*) - 1))", often)
	return []peerQuery{
		{name: "count", text: "SELECT count(*) FROM process_events"},
		{name: "needle", text: "SELECT entity_id, name, pid FROM process_events WHERE command_line LIKE '%" + own.Needle + "%'"},
		{name: "two columns equal", text: "SELECT count(*), min(pid), max(pid) FROM process_events WHERE name = 'python3' AND user_name = 'svc07'"},
		{name: "group by name", text: "SELECT name, count(*) FROM process_events GROUP BY name"},
		{name: "top 3 per parent", text: `SELECT parent_name, name, n
FROM (SELECT parent_name, name, n, row_number() OVER (PARTITION BY parent_name ORDER BY n DESC, name) AS r
      FROM (SELECT parent_name, name, count(*) AS n FROM process_events GROUP BY parent_name, name) c) t
WHERE r <= 3`},
		{name: "5 minutes of 30 days", text: `SELECT name, count(*) FROM process_events
WHERE time >= timestamptz '2025-06-15 12:00:00+00' AND time < timestamptz '2025-06-15 12:05:00+00' AND user_id > 0
GROUP BY name`},
		{name: "children of shells", text: `SELECT p.name, c.name, c.user_name, count(*)
FROM process_events p JOIN process_events c ON c.parent_entity_id = p.entity_id
WHERE p.event = 'seen' AND p.name IN ('sh', 'bash') AND c.event = 'seen' AND c.name IN ('curl', 'ssh', 'python3') AND c.command_line LIKE '%--output %'
GROUP BY p.name, c.name, c.user_name`},
		{name: "parents and children", text: `SELECT p.name, c.name, count(*)
FROM process_events p JOIN process_events c ON c.parent_entity_id = p.entity_id
WHERE p.event = 'seen'
GROUP BY p.name, c.name
ORDER BY count(*) DESC, p.name, c.name LIMIT 100`},
		{name: "ancestry", text: `WITH RECURSIVE up (entity_id, parent_entity_id, name, depth) AS (
  SELECT entity_id, parent_entity_id, name, 0 FROM process_events WHERE entity_id = '` + own.Deepest + `' AND event = 'seen'
  UNION ALL
  SELECT p.entity_id, p.parent_entity_id, p.name, up.depth + 1
  FROM up JOIN process_events p ON p.entity_id = up.parent_entity_id AND p.event = 'seen'
  WHERE up.depth < 32)
SELECT depth, name, entity_id FROM up`},
		{name: "beaconing", text: beaconing, sqlite: beaconingLite},
		{name: "users of an executable", text: `SELECT executable_path, count(DISTINCT user_name)
FROM process_events GROUP BY executable_path HAVING count(DISTINCT user_name) > 20`},
	}
}

// createIndexes makes those that a row store would be given for hunting, when
// nobody knows yet for what.
func createIndexes() string {
	var out strings.Builder
	for _, column := range []string{"time", "entity_id", "parent_entity_id", "name", "executable_path", "pid"} {
		fmt.Fprintf(&out, "CREATE INDEX by_%[1]s ON process_events (%[1]s);\n", column)
	}
	return out.String()
}
