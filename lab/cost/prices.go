// Package cost estimates the monthly cost of a deployment. It reads the resources from the CloudFormation templates
// (ReadAssembly), the prices from prices.csv or a file of the user's (DefaultPrices, LoadPrices), and the store operations that
// the session library needs for a request from counts.json (LibraryCounts). Estimator.Bill puts them together for a Traffic;
// Estimator.Curve and Estimator.Crossings vary the traffic. Start reading in bill.go; types.go and stores.go have a function
// for each type of resource.
package cost

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DefaultRegion is the region whose prices come with the lab.
const DefaultRegion = "us-east-1"

//go:embed prices.csv
var embeddedPrices []byte

// A Price is the price of one unit of an item.
type Price struct {
	Region string  `json:"region"`
	Item   string  `json:"item"`
	Unit   string  `json:"unit"` // see itemUnits
	USD    float64 `json:"usd"`
	Date   string  `json:"date"`   // YYYY-MM-DD, when the source had this price; the earliest possible day where the source names none
	Source string  `json:"source"` // a page of AWS, or a copy of its price list
	// Verified reports whether somebody has read the price at its source.
	Verified bool `json:"verified"`
}

// Prices is a price list by region and item.
type Prices struct {
	rows map[[2]string]Price
}

// itemUnits has the known items and their units. A prefix that ends in a colon stands for all items that begin with it. A month
// has 730 hours; a GB is 1,000,000,000 bytes.
var itemUnits = []struct{ prefix, unit string }{
	{"alb:hour", "hour"}, {"alb:lcu", "hour"}, {"ipv4", "hour"}, {"nat-gateway:hour", "hour"}, {"nat-gateway:data", "GB"},
	{"vpc-endpoint:hour", "hour"}, {"data-transfer:zone", "GB"}, {"data-transfer:internet", "GB"},
	{"ebs:", "GB-month"}, {"ec2:", "hour"},
	{"dynamodb:write-request", "million"}, {"dynamodb:read-request", "million"}, {"dynamodb:write-capacity", "hour"},
	{"dynamodb:read-capacity", "hour"}, {"dynamodb:storage", "GB-month"}, {"dynamodb:backup", "GB-month"}, {"dax:", "hour"},
	{"elasticache:valkey:", "hour"}, {"elasticache:redis:", "hour"}, {"elasticache:memcached:", "hour"},
	{"elasticache-serverless:valkey:data", "GB-hour"}, {"elasticache-serverless:valkey:ecpu", "million"},
	{"elasticache-serverless:redis:data", "GB-hour"}, {"elasticache-serverless:redis:ecpu", "million"},
	{"elasticache-serverless:memcached:data", "GB-hour"}, {"elasticache-serverless:memcached:ecpu", "million"},
	{"aurora:acu", "hour"}, {"aurora:storage", "GB-month"}, {"aurora:io", "million"},
	{"secret", "month"}, {"kms:key", "month"},
	{"cloudwatch:metric", "month"}, {"cloudwatch:alarm-metric", "month"}, {"cloudwatch:dashboard", "month"},
	{"cognito:user", "month"}, // above the 10,000 users per month that are free
	{"waf:acl", "month"}, {"waf:rule", "month"}, {"waf:request", "million"},
}

// maxPrice is the highest allowed price of a unit, in USD.
const maxPrice = 1_000_000

var priceColumns = []string{"region", "item", "unit", "usd", "date", "source", "status"}

// DefaultPrices returns the prices in the embedded prices.csv.
func DefaultPrices() (Prices, error) {
	return LoadPrices(bytes.NewReader(embeddedPrices), "prices.csv")
}

// LoadPrices reads prices as CSV with the columns of prices.csv. The error has a line for every bad value: row, column,
// and what is allowed.
func LoadPrices(r io.Reader, name string) (Prices, error) {
	text, err := readAll(r, name)
	if err != nil {
		return Prices{}, err
	}
	reader := csv.NewReader(bytes.NewReader(text))
	reader.FieldsPerRecord = -1
	records, err := reader.ReadAll()
	if err != nil {
		return Prices{}, fmt.Errorf("%s is not a CSV file: %w", name, err)
	}
	if len(records) == 0 || !slices.Equal(records[0], priceColumns) {
		return Prices{}, fmt.Errorf("%s row 1: allowed is %s", name, strings.Join(priceColumns, ","))
	}
	p := Prices{rows: map[[2]string]Price{}}
	var problems []error
	for i, record := range records[1:] {
		where := fmt.Sprintf("%s row %d", name, i+2)
		price, err := parsePrice(record, where)
		if _, twice := p.rows[price.key()]; err == nil && twice {
			err = fmt.Errorf("%s, column item=%q: duplicate for %s; allowed is one row", where, price.Item, price.Region)
		}
		problems = append(problems, err)
		p.rows[price.key()] = price
	}
	if err := errors.Join(problems...); err != nil {
		return Prices{}, err
	}
	return p, nil
}

func parsePrice(record []string, where string) (Price, error) {
	if len(record) != len(priceColumns) {
		return Price{}, fmt.Errorf("%s has %d columns: allowed is %d, %s", where, len(record), len(priceColumns),
			strings.Join(priceColumns, ","))
	}
	var problems []error
	refuse := func(column int, allowed string) {
		problems = append(problems,
			fmt.Errorf("%s, column %s=%q: allowed is %s", where, priceColumns[column], record[column], allowed))
	}
	p := Price{Region: record[0], Item: record[1], Unit: record[2], Date: record[4], Source: record[5],
		Verified: record[6] == "verified"}
	if p.Region == "" {
		refuse(0, "a region such as us-east-1")
	}
	switch unit, known := unitOf(p.Item); {
	case !known:
		refuse(1, "one of "+strings.Join(knownItems(), ", "))
	case unit != p.Unit:
		refuse(2, unit)
	}
	usd, err := strconv.ParseFloat(record[3], 64)
	if err != nil || !(usd >= 0 && usd <= maxPrice) {
		refuse(3, fmt.Sprintf("a number from 0 to %d, such as 0.0225", maxPrice))
	}
	p.USD = usd
	if _, err := time.Parse(time.DateOnly, p.Date); err != nil {
		refuse(4, "a date such as 2026-11-21")
	}
	if p.Source == "" {
		refuse(5, "where the price is from")
	}
	if record[6] != "verified" && record[6] != "unverified" {
		refuse(6, "verified or unverified")
	}
	return p, errors.Join(problems...)
}

func unitOf(item string) (unit string, known bool) {
	for _, i := range itemUnits {
		if item == i.prefix || strings.HasSuffix(i.prefix, ":") && strings.HasPrefix(item, i.prefix) && item != i.prefix {
			return i.unit, true
		}
	}
	return "", false
}

func knownItems() []string {
	var forms []string
	for _, i := range itemUnits {
		if strings.HasSuffix(i.prefix, ":") {
			i.prefix += "TYPE"
		}
		forms = append(forms, i.prefix)
	}
	return forms
}

func (p Price) key() [2]string { return [2]string{p.Region, p.Item} }

// With returns the prices with others added. Where both have a price, the one in others is used.
func (p Prices) With(others Prices) Prices {
	rows := maps.Clone(p.rows)
	maps.Copy(rows, others.rows)
	return Prices{rows}
}

// Regions returns the regions that have a price, sorted.
func (p Prices) Regions() []string {
	regions := map[string]bool{}
	for key := range p.rows {
		regions[key[0]] = true
	}
	return slices.Sorted(maps.Keys(regions))
}

// find returns the price of an item.
func (p Prices) find(region, item string) (Price, bool) {
	price, found := p.rows[[2]string{region, item}]
	return price, found
}
