package collector

import (
	"slices"
	"testing"
	"time"

	"daemoneye/bus/event"
)

// known makes a state of rows that have an identity, a pid and a name.
func known(rows ...[3]string) *state {
	b := event.NewBuilder(event.Lookup("processes"))
	for _, r := range rows {
		b.Column("entity_id").Text(r[0])
		b.Column("pid").Int(int64(r[1][0] - '0'))
		b.Column("name").Text(r[2])
		b.Column("executable_inode").Int(int64(len(r[2])))
		b.EndRow()
	}
	return newState(b.Batch())
}

func events(before, after *state) (list []string) {
	newComparison().between(before, after, func(kind string, at position, changed []string) {
		list = append(list, kind+" "+at.batch.Column("entity_id").Text(at.row))
	})
	return list
}

func TestComparison(t *testing.T) {
	first := known([3]string{"a", "1", "x"}, [3]string{"b", "2", "x"})
	for _, c := range []struct {
		what          string
		before, after *state
		want          []string
	}{
		{"nothing known", newState(), first, []string{"seen a", "seen b"}},
		{"nothing new", first, first, nil},
		{"pid taken again", first, known([3]string{"a", "1", "x"}, [3]string{"c", "2", "x"}), []string{"exit b", "seen c"}},
		{"name", first, known([3]string{"a", "1", "y"}, [3]string{"b", "2", "x"}), []string{"changed a"}},
		{"image", first, known([3]string{"a", "1", "yy"}, [3]string{"b", "2", "x"}), []string{"exec a"}},
		{"all gone", first, newState(), []string{"exit a", "exit b"}},
	} {
		if got := events(c.before, c.after); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
	// The same file executed again shows in the stack alone.
	again := known([3]string{"a", "1", "x"}, [3]string{"b", "2", "x"})
	first.images["a"], again.images["a"] = 1000, 2000
	if got := events(first, again); !slices.Equal(got, []string{"exec a"}) {
		t.Errorf("another stack: %v, want exec a", got)
	}
	again.images["a"] = 0 // may not be seen any more
	if got := events(first, again); len(got) != 0 {
		t.Errorf("a stack that is hidden: %v, want nothing", got)
	}
}

func TestLosses(t *testing.T) {
	var l losses
	now := time.Now()
	b := event.NewBuilder(event.Lookup("scans"))
	b.Column("time").Time(now.Add(-time.Second))
	b.EndRow()
	b.Column("time").Time(now)
	b.EndRow()
	l.add(b.Batch(), "full", now)
	list := l.take(now)
	if len(list) != 1 || list[0].table != "scans" || list[0].rows != 2 || !list[0].to.After(now) || list[0].from.After(now.Add(-time.Second)) {
		t.Fatalf("losses = %+v", list)
	}
	g := gaps(list, "c", now)
	if g.Rows != 1 || g.Column("lost").Int(0) != 2 || g.Column("table_name").Text(0) != "scans" {
		t.Errorf("gaps = %+v", g)
	}
	if again := l.take(now.Add(time.Hour)); len(again) != 0 || l.count() != 2 || !l.untold() {
		t.Errorf("after take: %+v, count %d, untold %v, want none, 2 and true", again, l.count(), l.untold())
	}
	if l.told(); l.untold() {
		t.Error("untold after told")
	}
	l.note("process_events", "kernel", 1, now, now)
	if list = l.take(now.Add(time.Hour)); len(list) != 1 || l.untold() {
		t.Errorf("what the kernel lost: %+v, untold %v, want one and false", list, l.untold())
	}
	l.putBack(list)
	if early := l.take(now.Add(time.Hour)); len(early) != 0 {
		t.Errorf("%+v at once after the last report, want none", early)
	}
	if list = l.take(now.Add(2 * time.Hour)); len(list) != 1 || list[0].rows != 1 {
		t.Errorf("after putBack: %+v, want one", list)
	}
}

func TestCutText(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
		cut   bool
	}{
		{"abc", 3, "abc", false},
		{"abcd", 3, "abc", true},
		{"aé", 2, "a", true},
		{"a\xff", 3, `a\x`, true},
		{"é", 0, "", true},
	} {
		if got, cut := cutText(c.in, c.limit); got != c.want || cut != c.cut {
			t.Errorf("cutText(%q, %d) = %q, %v, want %q, %v", c.in, c.limit, got, cut, c.want, c.cut)
		}
	}
}

// A pid that was given again within one tick has the same entity_id; a parent
// that can not be that of the same process gives it away.
func TestReplacedWithinOneTick(t *testing.T) {
	// world has init, a shell below it, and p with a parent and an image.
	world := func(parent string, image int64) *state {
		b := event.NewBuilder(event.Lookup("processes"))
		for _, r := range [][2]string{{"init", ""}, {"shell", "init"}, {"other", "init"}, {"p", parent}} {
			b.Column("entity_id").Text(r[0])
			b.Column("parent_entity_id").TextOrNull(r[1])
			if r[0] == "p" {
				b.Column("executable_inode").Int(image)
			}
			b.EndRow()
		}
		s := newState(b.Batch())
		s.images["p"] = uint64(image)
		return s
	}
	for _, c := range []struct {
		what          string
		before, after *state
		want          []string
	}{
		{"exec", world("shell", 1), world("shell", 2), []string{"exec p"}},
		{"orphan", world("shell", 1), world("init", 1), nil},
		{"orphan that executes", world("shell", 1), world("init", 2), []string{"exec p"}},
		{"another process", world("shell", 1), world("other", 2), []string{"exit p", "seen p"}},
		{"another parent alone", world("shell", 1), world("other", 1), nil},
		{"parent not known", world("gone", 1), world("other", 2), []string{"exec p"}},
	} {
		got := slices.DeleteFunc(events(c.before, c.after), func(s string) bool { return s[len(s)-2:] != " p" })
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

// Kernel workers are called after what they do at the moment.
func TestKernelThreadRenamed(t *testing.T) {
	world := func(name string, kernel bool) *state {
		b := event.NewBuilder(event.Lookup("processes"))
		b.Column("entity_id").Text("k")
		b.Column("name").Text(name)
		b.Column("kernel_thread").Bool(kernel)
		b.EndRow()
		return newState(b.Batch())
	}
	if got := events(world("kworker/u8:0-flush", true), world("kworker/u8:0-events", true)); len(got) != 0 {
		t.Errorf("a kernel thread with another name: %v, want nothing", got)
	}
	if got := events(world("a", false), world("b", false)); !slices.Equal(got, []string{"changed k"}) {
		t.Errorf("a process with another name: %v, want changed", got)
	}
}
