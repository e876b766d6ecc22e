package client

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"daemoneye/roles/api"
	"daemoneye/roles/term"
	"daemoneye/store/eventfile"
)

const parquetFormat = "parquet"

func outputFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE` instead of standard output, compressed if its name ends in .gz; it appears when all of it is written"},
		&cli.BoolFlag{Name: "force", Usage: "overwrite the file of --output"},
	}
}

// destination is where a result goes: standard output, or a file that gets its
// name when all of it is on the disk.
type destination struct {
	printer
	name     string       // "" is standard output
	temp     *os.File     // of the file
	out      io.Writer    // what is written to the file goes here
	part     string       // the name of temp, until it gets name
	unnamed  bool         // temp has no name yet
	zip      *gzip.Writer // what is written goes through, nil for none
	force    bool
	progress *term.Progress
	columns  int
	silent   bool // progress counts something else
}

// openOutput begins the output of a command with outputFlags. The progress
// line is cleared before the first row goes to standard output, and counts the
// rows that go to a file.
func (c *call) openOutput(format string, progress *term.Progress) (*destination, error) {
	d := &destination{name: c.String("output"), force: c.Bool("force"), progress: progress}
	switch {
	case c.IsSet("output") && (d.name == "" || d.name == "-"):
		return nil, usage("leave it out for standard output", "--output names no file")
	case d.name == "" && d.force:
		return nil, usage("", "--force goes with --output")
	case d.name == "" && format == parquetFormat:
		return nil, usage("name the file with -o FILE", "Parquet goes to a file")
	case d.name == "":
		d.printer = newResultPrinter(c.out, format)
		return d, nil
	case format == parquetFormat && zipped(d.name):
		return nil, usage("leave out .gz", "Parquet is compressed within")
	}
	if err := d.vacant(); err != nil {
		return nil, err
	}
	return d, d.create(format)
}

// create makes the file and what writes rows to it.
func (d *destination) create(format string) error {
	if err := d.createFile(); err != nil {
		return err
	}
	d.out = d.temp
	if zipped(d.name) {
		d.zip = gzip.NewWriter(d.temp)
		d.out = d.zip
	}
	if format == parquetFormat {
		d.printer = &parquetPrinter{out: d.temp}
	} else {
		d.printer = newResultPrinter(term.New(d.out, os.Getenv), format)
	}
	return nil
}

// createFile makes the file, without a name where it can be.
func (d *destination) createFile() error {
	d.part = fmt.Sprintf("%s.%d.part", d.name, os.Getpid())
	_, err := os.Lstat(d.part)
	if err == nil { // else that would be found at the end
		return fmt.Errorf("output: %s is there already", d.part)
	}
	if d.temp, err = createUnnamed(filepath.Dir(d.name)); err == nil {
		d.unnamed = true
	} else {
		// Observed command lines are nobody's but the group's.
		d.temp, err = os.OpenFile(d.part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	}
	if err != nil {
		return fmt.Errorf("output: %w", err)
	}
	return nil
}

// writeFile makes a file of data, which appears when all of it is on the disk;
// with force it takes the place of one that is there.
func writeFile(name string, data []byte, mode fs.FileMode, force bool) error {
	d := &destination{name: name, force: force, progress: &term.Progress{}}
	if err := d.vacant(); err != nil {
		return err
	}
	if err := d.createFile(); err != nil {
		return err
	}
	err := d.temp.Chmod(mode)
	if err == nil {
		_, err = d.temp.Write(data)
	}
	return d.finish(err)
}

func zipped(name string) bool { return strings.EqualFold(filepath.Ext(name), ".gz") }

// vacant refuses a name that is taken.
func (d *destination) vacant() error {
	info, err := os.Lstat(d.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("output: %w", err)
	case !info.Mode().IsRegular():
		return &Error{Err: fmt.Errorf("output: %s is there, and is no regular file", d.name), Hint: "leave out --output and redirect standard output"}
	case !d.force:
		return &Error{Err: fmt.Errorf("output: %s is there already", d.name), Hint: "--force overwrites it"}
	}
	return nil
}

func (d *destination) header(columns []api.QueryColumn) error {
	d.columns = len(columns)
	return d.printer.header(columns)
}

func (d *destination) rows(cells [][]byte) error {
	if d.temp == nil {
		d.progress.Stop()
	} else if d.columns > 0 && !d.silent {
		d.progress.Add(int64(len(cells) / d.columns))
	}
	return d.printer.rows(cells)
}

func (d *destination) close(rows int64) error {
	if d.temp == nil {
		d.progress.Stop()
	}
	return d.printer.close(rows)
}

// finish ends the output after err: a file appears whole or not at all.
func (d *destination) finish(err error) error {
	d.progress.Stop()
	if d.temp == nil {
		return err
	}
	if err == nil && d.zip != nil {
		err = d.zip.Close()
	}
	if err == nil {
		err = d.temp.Sync()
	}
	if err == nil && d.unnamed {
		err = nameFile(d.temp, d.part)
		d.unnamed = err != nil
	}
	if err = errors.Join(err, d.temp.Close()); err == nil {
		err = d.publish()
	}
	if err != nil && !d.unnamed {
		_ = os.Remove(d.part)
	}
	return err
}

func (d *destination) publish() error {
	if err := d.vacant(); err != nil {
		return err
	}
	linked := false
	if !d.force { // unlike a rename, a link never takes another file's place
		switch err := os.Link(d.part, d.name); {
		case err == nil:
			linked = true
			_ = os.Remove(d.part)
		case errors.Is(err, fs.ErrExist):
			return d.vacant()
		}
	}
	if !linked {
		if err := os.Rename(d.part, d.name); err != nil {
			return fmt.Errorf("output: %w", err)
		}
	}
	if runtime.GOOS == "windows" { // directories can not be synced there
		return nil
	}
	dir, err := os.Open(filepath.Dir(d.name))
	if err != nil {
		return fmt.Errorf("output: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// parquetPrinter writes a Parquet file.
type parquetPrinter struct {
	out *os.File
	w   *eventfile.ParquetWriter
}

func (p *parquetPrinter) json() bool { return false }

func (p *parquetPrinter) header(columns []api.QueryColumn) (err error) {
	var list []eventfile.ParquetColumn
	for i, name := range uniqueNames(columns) {
		list = append(list, eventfile.ParquetColumn{Name: name, Type: columns[i].Type})
	}
	p.w, err = eventfile.NewParquetWriter(p.out, list)
	return err
}

func (p *parquetPrinter) rows(cells [][]byte) error { return p.w.Write(cells) }

func (p *parquetPrinter) close(int64) error { return p.w.Close() }

// fileFormat returns the value of --format, or what the name of --output says
// when it is not given.
func (c *call) fileFormat(all []string) (string, error) {
	name := c.String("format")
	if !c.IsSet("format") {
		name := c.String("output")
		if zipped(name) {
			name = name[:len(name)-len(".gz")]
		}
		ext := strings.TrimPrefix(strings.ToLower(filepath.Ext(name)), ".")
		if slices.Contains(all, ext) {
			return ext, nil
		}
	}
	if !slices.Contains(all, name) {
		return "", usage("it can be "+strings.Join(all, ", "), "there is no format %q", name)
	}
	return name, nil
}
