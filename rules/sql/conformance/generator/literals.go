package generator

import (
	"strconv"
	"strings"
	"time"

	"daemoneye/bus/event"
)

// Literal writes row i of v, which is not NULL, as a constant of SQL.
func Literal(v *event.Vector, i int) string {
	switch v.Type {
	case event.Bool:
		return strconv.FormatBool(v.Bools[i])
	case event.Int4, event.Int8:
		return quote(strconv.FormatInt(v.Ints[i], 10))
	case event.Float8:
		return quote(strconv.FormatFloat(v.Floats[i], 'g', -1, 64))
	case event.Timestamptz:
		at := time.UnixMicro(v.Ints[i]).UTC()
		if year := at.Year(); year <= 0 {
			return quote(at.AddDate(1-2*year, 0, 0).Format("2006-01-02 15:04:05.999999+00") + " BC")
		}
		return quote(at.Format("2006-01-02 15:04:05.999999+00"))
	case event.TextArray:
		list := v.Texts(i)
		if len(list) == 0 {
			return "'{}'"
		}
		for j, s := range list {
			list[j] = quote(s)
		}
		return "ARRAY[" + strings.Join(list, ",") + "]"
	}
	return quote(v.Text(i))
}
