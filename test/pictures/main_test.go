package main

import (
	"os"
	"strings"
	"testing"

	"stateless-servers/lab/compare"
	"stateless-servers/session/sessiontest/must"
)

func TestPicturesAreUpToDate(t *testing.T) {
	for _, store := range compare.Stores() {
		want := must.Get(draw(store))(t)
		if got, err := os.ReadFile(path(store)); err != nil || string(got) != want {
			t.Errorf("%s is out of date: run go generate ./test/pictures (%v)", path(store), err)
		}
	}
}

// The pictures say what the templates have.
func TestPictures(t *testing.T) {
	for store, words := range map[string][]string{
		"dynamodb": {">2 to 6 servers<", ">t4g.small<", ">DynamoDB table<", ">on demand<", ">1 region<", ">no sticky sessions<", ", 1 dashboard"},
		"valkey":   {">valkey 8.2<", ">2 × cache.t4g.micro<", ">several zones, failover<", "Beside them: 1 NAT gateway, 2 VPC endpoints, "},
		"postgres": {">2 serverless instances<", ">0.5 to 4 ACU each<"}, "memcached": {">2 zones<"},
		"cookie": {">sessions in cookies<", ">keys of the cookies<"}, "memory": {">sticky sessions<", ">sessions in memory<"},
	} {
		picture := must.Get(draw(store))(t)
		for _, word := range words {
			if !strings.Contains(picture, word) {
				t.Errorf("%s has no %s:\n%s", store, word, picture)
			}
		}
	}
}
