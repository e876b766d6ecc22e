package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"daemoneye/platform"
	"daemoneye/rules"
)

// ruleWarning is something about a rule file that is no error.
type ruleWarning struct {
	File    string `json:"file"`
	Message string `json:"message"`
	Line    int    `json:"-"` // 0: the file as a whole
}

// ruleWarnings says what may not be meant in the rules, and, to root, which
// files the agent, who is not root, can not read.
func (c *call) ruleWarnings(set *rules.Set) ([]ruleWarning, error) {
	list := []ruleWarning{}
	for _, r := range set.Rules {
		for _, text := range r.Warnings() {
			list = append(list, ruleWarning{File: r.File, Message: text})
		}
	}
	if os.Geteuid() != 0 {
		return list, nil
	}
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	user, err := platform.RoleUser(cfg.Agent.User)
	if err != nil {
		return list, nil // config check says so
	}
	for _, name := range c.Args().Slice() {
		list = append(list, unreadable(name, user)...)
	}
	return list, nil
}

// maxUnreadable bounds what is named one by one.
const maxUnreadable = 20

// unreadable lists the directories and rule files below name that the user
// can not read. The way to name itself does not matter: "daemoneye run" opens
// it as root and hands it over.
func unreadable(name string, user platform.User) []ruleWarning {
	var list []ruleWarning
	enough := errors.New("enough")
	// What can not be walked was refused already.
	_ = filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path != name && strings.HasPrefix(d.Name(), ".") {
			return nil
		}
		need, how := fs.FileMode(4), "chmod o+r"
		if d.IsDir() {
			need, how = 5, "chmod o+rx"
		} else if path != name && !rules.Reads(path) {
			return nil
		}
		info, err := os.Stat(path)
		if err != nil || platform.Permits(info, user, need) {
			return nil
		}
		if len(list) == maxUnreadable {
			return enough
		}
		list = append(list, ruleWarning{File: path, Message: fmt.Sprintf("the agent runs as %v, who can not read it (%s)", user, how)})
		return nil
	})
	return list
}

// warnExpired names exceptions and values of lists that do not count any more.
func (c *call) warnExpired(e engine) error {
	found, _, err := fetch[struct {
		Expired []string `json:"expired"`
	}](c.ctx, e, "SELECT expired FROM rules WHERE expired IS NOT NULL ORDER BY rule_id", nil)
	if err != nil {
		return err
	}
	told := map[string]bool{} // a list may be of several rules
	for _, r := range found {
		for _, text := range r.Expired {
			if len(told) < maxUnreadable && !told[text] {
				c.warn("%s", text)
			}
			told[text] = true
		}
	}
	if more := len(told) - maxUnreadable; more > 0 {
		c.warn("and %d more that have expired; daemoneye rules validate names all of a directory", more)
	}
	return nil
}

func (w *ruleWarning) place() string {
	if w.Line > 0 {
		return fmt.Sprintf("%s:%d", w.File, w.Line)
	}
	return w.File
}
