package history

import (
	"bytes"
	"encoding/json"

	"daemoneye/roles/fact"
)

// HashRow returns the BLAKE3-256, in hex, of a row as a JSON object: keys in
// order, without those that are null, numbers as they are written. So columns
// that a later version adds do not change it. It is "" for what is no object.
func HashRow(object []byte) string {
	d := json.NewDecoder(bytes.NewReader(object))
	d.UseNumber()
	var row map[string]any
	if err := d.Decode(&row); err != nil || row == nil {
		return ""
	}
	for name, value := range row {
		if value == nil {
			delete(row, name)
		}
	}
	canonical, err := json.Marshal(row)
	if err != nil {
		return ""
	}
	return fact.Hash(canonical)
}
