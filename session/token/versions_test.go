package token

import "testing"

// earlierToken is a token that the version of 2026-11-28 issued, before RSA keys and revocation, with the key "a".
const earlierToken = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImVPenlxcUFnOWpNIn0." +
	"eyJpc3MiOiJodHRwczovL3Nob3AuZXhhbXBsZSIsInN1YiI6ImFkYSIsImF1ZCI6InNob3AiLCJleHAiOjE3Njc0MDk0NDUsIm5iZiI6MTc2NzMyMzA0NSwiaWF0IjoxNzY3MzIzMDQ1LCJqdGkiOiJBUUlEQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUNBIiwiYWdlbnQiOiJCcm93c2VyLzEuMCIsInZhbHVlcyI6eyJyb2xlIjoiY2xlcmsifX0." +
	"XsxMQloVkqWQF9UQbVbrykEGrtnwLMFcN3sEvani5GM"

// A server of the version before accepts the tokens of this one, because they are the same byte for byte, and this version accepts
// those of the version before.
func TestTokensOfTheVersionBefore(t *testing.T) {
	record := newRecord(map[string]string{"role": `"clerk"`})
	if got := seal(t, newCodec(t, "a"), record); got != earlierToken {
		t.Errorf("got the token %s\nwant %s", got, earlierToken)
	}
	if gotID, got, err := newCodec(t, "ba").Decode(earlierToken, start); err != nil || got.User != "ada" || gotID != id {
		t.Errorf("got %v, %+v, %v", gotID, got, err)
	}
}
