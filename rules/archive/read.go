package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Decode reads a pack. It takes no entry but those that the manifest names, in
// its order, and of those only regular files of the size and hash that it says;
// what it needs of memory is bounded by the limits above. Verify says who signed
// it.
func Decode(data []byte) (*Pack, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("the pack is larger than %d MiB", MaxBytes>>20)
	}
	z, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxUnpacked),
		zstd.WithDecoderMaxWindow(maxFile))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	r := &reader{unpacked: &io.LimitedReader{R: z, N: maxUnpacked}}
	r.tar = tar.NewReader(r.unpacked)
	p, err := r.pack()
	if err != nil && r.unpacked.N == 0 {
		return nil, fmt.Errorf("the pack is larger than %d MiB when unpacked", maxUnpacked>>20)
	}
	return p, err
}

type reader struct {
	unpacked *io.LimitedReader
	tar      *tar.Reader
}

// next returns the header of the next entry, io.EOF at the end.
func (r *reader) next() (*tar.Header, error) {
	h, err := r.tar.Next()
	switch {
	case errors.Is(err, io.EOF):
		return nil, io.EOF
	case err != nil:
		return nil, fmt.Errorf("not a pack: %w", err)
	case h.Typeflag != tar.TypeReg || h.Linkname != "" || h.Format != tar.FormatUSTAR:
		return nil, fmt.Errorf("entry %q is not a regular file in USTAR form", h.Name)
	}
	return h, nil
}

func (r *reader) pack() (*Pack, error) {
	h, err := r.next()
	if err != nil || h.Name != manifestName {
		return nil, errors.Join(fmt.Errorf("not a pack: it does not begin with %s", manifestName), notEOF(err))
	}
	text, err := readAll(r.tar, manifestName, maxManifest)
	if err != nil {
		return nil, err
	}
	m, err := decodeManifest(text)
	if err != nil {
		return nil, err
	}
	p := &Pack{Manifest: m, text: text, files: make(map[string][]byte, len(m.Files))}
	h, err = r.next()
	if err == nil && h.Name == signaturesName {
		if p.signatures, err = readAll(r.tar, signaturesName, maxSignatures); err != nil {
			return nil, err
		}
		if len(p.signatures) == 0 {
			return nil, fmt.Errorf("%s is empty", signaturesName)
		}
		h, err = r.next()
	}
	for _, f := range m.Files {
		if err != nil {
			return nil, errors.Join(fmt.Errorf("file %q is in the manifest and does not follow", f.Name), notEOF(err))
		}
		if h.Name != f.Name || h.Size != f.Size {
			return nil, fmt.Errorf("entry %q of %d bytes where the manifest has %q of %d", h.Name, h.Size, f.Name, f.Size)
		}
		data, err2 := readAll(r.tar, f.Name, f.Size)
		if err2 != nil {
			return nil, err2
		}
		if sum(data) != f.SHA256 {
			return nil, fmt.Errorf("file %q is not the one of the manifest: its SHA-256 is another", f.Name)
		}
		p.files[f.Name] = data
		h, err = r.next()
	}
	switch {
	case err == nil:
		return nil, fmt.Errorf("entry %q is not in the manifest", h.Name)
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	if n, err := io.Copy(io.Discard, r.unpacked); err != nil || n > 0 {
		return nil, errors.Join(errors.New("something follows the end of the pack"), err)
	}
	return p, nil
}

func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
