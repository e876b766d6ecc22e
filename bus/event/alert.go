package event

import (
	"encoding/json"
	"time"
)

// Alert is one row of the alerts table. It is what the matcher raises, the
// store keeps, the bus carries on alerts.<severity>, and the sinks write.
type Alert struct {
	ID                string          `msgpack:"alert_id" json:"alert_id"`
	Time              time.Time       `msgpack:"time" json:"time"`
	RuleID            string          `msgpack:"rule_id" json:"rule_id"`
	RuleVersion       string          `msgpack:"rule_version,omitempty" json:"rule_version,omitempty"`
	Severity          string          `msgpack:"severity" json:"severity"`
	Title             string          `msgpack:"title" json:"title"`
	Description       string          `msgpack:"description,omitempty" json:"description,omitempty"`
	Tags              []string        `msgpack:"tags" json:"tags"`
	DedupKey          string          `msgpack:"dedup_key" json:"dedup_key"`
	Count             int64           `msgpack:"count" json:"count"`
	FirstSeen         time.Time       `msgpack:"first_seen" json:"first_seen"`
	LastSeen          time.Time       `msgpack:"last_seen" json:"last_seen"`
	Table             string          `msgpack:"table_name" json:"table_name"`
	Row               json.RawMessage `msgpack:"matched_row" json:"matched_row"`                 // an object: output column → value
	Process           json.RawMessage `msgpack:"process,omitempty" json:"process,omitempty"`     // an object of processes columns; nil when the row is not of one process
	EntityID          string          `msgpack:"entity_id,omitempty" json:"entity_id,omitempty"` //
	PID               int64           `msgpack:"pid,omitempty" json:"pid,omitempty"`             // 0: none
	Host              string          `msgpack:"host" json:"host"`
	Complete          bool            `msgpack:"complete" json:"complete"`
	IncompleteReasons []string        `msgpack:"incomplete_reasons,omitempty" json:"incomplete_reasons,omitempty"`
	Excluded          string          `msgpack:"excluded,omitempty" json:"excluded,omitempty"` // the exception that the matches met; "": it is an alert
}

// AppendTo adds the alert as a row of b, a Builder for the alerts table.
func (a *Alert) AppendTo(b *Builder) {
	b.Column("alert_id").Text(a.ID)
	b.Column("time").Time(a.Time)
	b.Column("rule_id").Text(a.RuleID)
	b.Column("rule_version").TextOrNull(a.RuleVersion)
	b.Column("severity").Text(a.Severity)
	b.Column("title").Text(a.Title)
	b.Column("description").TextOrNull(a.Description)
	b.Column("tags").Texts(a.Tags)
	b.Column("dedup_key").Text(a.DedupKey)
	b.Column("count").Int(a.Count)
	b.Column("first_seen").Time(a.FirstSeen)
	b.Column("last_seen").Time(a.LastSeen)
	b.Column("table_name").Text(a.Table)
	b.Column("matched_row").JSON(a.Row)
	if a.Process != nil {
		b.Column("process").JSON(a.Process)
	}
	b.Column("entity_id").TextOrNull(a.EntityID)
	if a.PID != 0 {
		b.Column("pid").Int(a.PID)
	}
	b.Column("host").Text(a.Host)
	b.Column("complete").Bool(a.Complete)
	b.Column("incomplete_reasons").Texts(a.IncompleteReasons)
	b.Column("excluded").TextOrNull(a.Excluded)
	b.EndRow()
}
