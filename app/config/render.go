package config

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Environment renders the values that differ from the defaults as KEY=value, in the order of the fields.
// Parse(c.Environment()) gives c back.
func (c Config) Environment() []string {
	var list []string
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		if value := format(v.Field(i)); value != formatted(tag.Get("envDefault"), v.Field(i).Type()) {
			list = append(list, tag.Get("env")+"="+value)
		}
	}
	return list
}

// EnvironmentFile renders Environment as systemd reads it (systemd.exec(5), EnvironmentFile=): one quoted assignment
// a line.
func (c Config) EnvironmentFile() string {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	var file strings.Builder
	for _, line := range c.Environment() {
		key, value, _ := strings.Cut(line, "=")
		fmt.Fprintf(&file, "%s=\"%s\"\n", key, quote.Replace(value))
	}
	return file.String()
}

// Default returns the Config of an empty environment, before any check. It is where stacks and lab start from.
func Default() Config {
	c, _ := decode(nil)
	return c
}

func format(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case time.Duration:
		return value.String()
	case []string:
		return strings.Join(value, ",")
	default:
		return fmt.Sprint(value)
	}
}

// formatted gives a default its canonical form: "30m" is written "30m0s".
func formatted(value string, kind reflect.Type) string {
	if kind == reflect.TypeFor[time.Duration]() {
		if d, err := time.ParseDuration(value); err == nil {
			return d.String()
		}
	}
	return value
}
