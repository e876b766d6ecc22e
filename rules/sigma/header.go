package sigma

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of a rule's header; package rules has the same.
const (
	headerTitle = 200  // characters
	headerText  = 4000 // characters of any other value
	headerItems = 64   // of a list
	headerTag   = 80   // bytes of an id, or a tag
)

// header is the comment lines above the SELECT.
type header struct {
	doc      *Document
	id       string
	severity string
	status   string
	tags     []string
	version  string
	date     string
	window   string
	dedup    string
	disabled bool
}

func (d *Document) header(cfg Config) *header {
	h := &header{doc: d, id: d.ruleID(), severity: d.severity(), date: day(d.Date), version: day(d.Modified)}
	if slices.Contains([]string{"experimental", "test", "stable", "deprecated"}, d.Status) {
		h.status = d.Status
	}
	for _, tag := range d.Tags {
		tag = strings.ToLower(tag)
		if isID(tag) && !slices.Contains(h.tags, tag) && (cfg.Tag == nil || cfg.Tag(tag)) && len(h.tags) < headerItems {
			h.tags = append(h.tags, tag)
		}
	}
	return h
}

// severity is the level, of which DaemonEye has one less.
func (d *Document) severity() string {
	switch level := strings.ToLower(d.Level); level {
	case "medium", "high", "critical":
		return level
	}
	return "low" // informational, and when there is none
}

// isID reports whether a text can be an id, or a tag.
func isID(s string) bool {
	for i, c := range s {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && (i == 0 || !strings.ContainsRune("._-", c)) {
			return false
		}
	}
	return s != "" && len(s) <= headerTag
}

// ruleID is the id of the document, or one made of its title.
func (d *Document) ruleID() string {
	const room = headerTag - len(".network_events")
	if id := strings.ToLower(d.ID); isID(id) && len(id) <= room {
		return id
	}
	words := strings.FieldsFunc(strings.ToLower(d.Title), func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') })
	sum := sha256.Sum256([]byte(d.ID + "\x00" + d.Title))
	name := strings.Join(words, "-")
	return "sigma-" + name[:min(len(name), 40)] + "-" + hex.EncodeToString(sum[:4])
}

// day reads 2026-01-31 and 2026/01/31; "" when it is neither.
func day(s string) string {
	t, err := time.Parse(time.DateOnly, strings.ReplaceAll(s, "/", "-"))
	if err != nil {
		return ""
	}
	return t.Format(time.DateOnly)
}

func (h *header) String() string {
	var b strings.Builder
	line := func(key, value string) {
		if value != "" {
			b.WriteString("-- " + key + ": " + value + "\n")
		}
	}
	line("id", h.id)
	line("title", cut(h.doc.Title, headerTitle))
	line("description", cut(h.doc.Description, headerText))
	line("author", cut(h.doc.Author, headerText))
	line("date", h.date)
	line("version", h.version)
	line("status", h.status)
	line("severity", h.severity)
	line("tags", list(h.tags))
	line("references", list(h.doc.References))
	line("falsepositives", list(h.doc.FalsePositives))
	line("dedup", h.dedup)
	line("window", h.window)
	if h.disabled {
		line("enabled", "false")
	}
	return b.String()
}

func cut(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}

// list writes items, which can not have commas, as far as there is room.
func list(items []string) string {
	var b strings.Builder
	var seen []string
	for _, item := range items {
		if strings.Contains(item, "://") {
			item = strings.ReplaceAll(item, ",", "%2C")
		}
		item = strings.TrimSpace(strings.ReplaceAll(item, ",", ";"))
		if item == "" || slices.Contains(seen, item) || len(seen) == headerItems || utf8.RuneCountInString(b.String()+item) > headerText-2 {
			continue
		}
		if seen = append(seen, item); len(seen) > 1 {
			b.WriteString(", ")
		}
		b.WriteString(item)
	}
	return b.String()
}
