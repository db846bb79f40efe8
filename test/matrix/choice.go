package main

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

var (
	// billRow matches a store's line of the monthly costs: its name, the cost of the store, four other costs, and the total.
	billRow = regexp.MustCompile(`(?m)^([a-z]+) +([0-9.]+)(?: +[0-9.]+){4} +([0-9]+\.[0-9]{2}) `)
	// breakEven matches the traffic in requests per second above which Valkey is cheaper than DynamoDB.
	breakEven = regexp.MustCompile(`(?m)^[0-9]+ +dynamodb +valkey +([0-9.]+) `)
)

const tree = "```mermaid" + `
flowchart TD
  final["Must every logout and<br>every update be final?"] -- yes --> failover["May a failover lose<br>the last moments?"]
  final -- no --> changes["Do sessions change<br>after login?"]
  failover -- yes --> traffic["More than %d requests<br>per second?"]
  failover -- no --> sql["Do you run<br>PostgreSQL already?"]
  traffic -- yes --> valkey([valkey])
  traffic -- no --> dynamodb([dynamodb])
  sql -- no --> dynamodb
  sql -- yes --> postgres([postgres])
  changes -- yes --> cookie([cookie])
  changes -- no --> token([token])
` + "```\n\n"

// choice returns the decision tree, and a table of the stores in the order of the bill.
func choice(list []row, costs string) (string, error) {
	point := breakEven.FindStringSubmatch(costs)
	if point == nil {
		return "", fmt.Errorf("it has no break-even point of dynamodb and valkey")
	}
	traffic, err := strconv.ParseFloat(point[1], 64)
	if err != nil {
		return "", err
	}
	declared := map[string]row{}
	for _, p := range list {
		declared[p.Name] = p
	}
	var text strings.Builder
	fmt.Fprintf(&text, tree, int(math.Round(traffic)))
	text.WriteString("| sessions in | no lost update | logout is final | survives a failover | store, USD per month | total, USD per month |\n" +
		"|---|---|---|---|---:|---:|\n")
	rows := 0
	for _, bill := range billRow.FindAllStringSubmatch(costs, -1) {
		p, found := declared[bill[1]]
		if !found { // redis, which promises the same as valkey
			continue
		}
		rows++
		failover := p.failover
		if !p.Shared {
			failover = "**no; needs sticky sessions**"
		}
		fmt.Fprintf(&text, "| %s | %s | %s | %s | %s | %s |\n", p.Name, yes(p.NoLostUpdate), yes(p.LogoutIsFinal), failover, bill[2], bill[3])
	}
	if rows != 7 {
		return "", fmt.Errorf("it has the monthly costs of %d stores, want 7", rows)
	}
	return text.String(), nil
}
