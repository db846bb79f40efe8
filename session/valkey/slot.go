package valkey

import (
	"strings"

	"stateless-servers/session"
)

// slots is the number of hash slots of a cluster. The slot of a key is the CRC-16 of the key, or of its hash tag if it has
// one, modulo slots (Valkey cluster specification, "Key distribution model").
const slots = 16384

// sameSlot returns a function that reports whether the key of an id is in the hash slot of old's key. It is nil if every
// key is in the same slot, because the prefix has a hash tag.
//
// A prefix without a tag can be ignored: the CRC starts from 0 and is linear, so a prefix flips the same bits of the CRC of
// every id.
func sameSlot(prefix string, old session.ID) func(session.ID) bool {
	if hasTag(prefix) {
		return nil
	}
	table := newCRCTable()
	slot := func(id session.ID) uint16 {
		var buffer [64]byte
		return table.checksum(id.Append(buffer[:0])) % slots
	}
	want := slot(old)
	return func(id session.ID) bool { return slot(id) == want }
}

// hasTag reports whether keys with the prefix have a hash tag, the text between the first { and the first } after it, if it
// isn't empty. An id has no braces.
func hasTag(prefix string) bool {
	_, rest, _ := strings.Cut(prefix, "{")
	return strings.Index(rest, "}") > 0
}

// A crcTable maps each byte to its CRC-16.
type crcTable [256]uint16

// newCRCTable returns the table of the polynomial x^16 + x^12 + x^5 + 1, most significant bit first: CRC-16/XMODEM.
func newCRCTable() *crcTable {
	var table crcTable
	for i := range table {
		crc := uint16(i) << 8 // #nosec G115 -- below 256
		for range 8 {
			carry := crc >> 15
			crc = crc<<1 ^ carry*0x1021
		}
		table[i] = crc
	}
	return &table
}

func (t *crcTable) checksum(text []byte) (crc uint16) {
	for _, b := range text {
		crc = crc<<8 ^ t[byte(crc>>8)^b]
	}
	return crc
}
