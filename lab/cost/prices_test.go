package cost

import (
	"strings"
	"testing"

	"stateless-servers/session/sessiontest/must"
)

const header = "region,item,unit,usd,date,source,status\n"

func TestPricesThatAreNotAllowed(t *testing.T) {
	tests := []struct{ name, file, want string }{
		{"another header", "item,usd\n", "p.csv row 1: allowed is region,item,unit,usd,date,source,status"},
		{"a missing column", header + "us-east-1,ipv4,hour\n", "p.csv row 2 has 3 columns: allowed is 7"},
		{"an unknown item", header + "us-east-1,ec3:x,hour,1,2026-01-01,me,verified\n", `p.csv row 2, column item="ec3:x": allowed is one of alb:hour`},
		{"another unit", header + "us-east-1,ipv4,month,1,2026-01-01,me,verified\n", `p.csv row 2, column unit="month": allowed is hour`},
		{"a negative price", header + "us-east-1,ipv4,hour,-1,2026-01-01,me,verified\n", `p.csv row 2, column usd="-1": allowed is a number from 0 to 1000000`},
		{"no number", header + "us-east-1,ipv4,hour,NaN,2026-01-01,me,verified\n", `p.csv row 2, column usd="NaN": allowed is a number from 0 to 1000000`},
		{"no date", header + "us-east-1,ipv4,hour,1,now,me,verified\n", `p.csv row 2, column date="now": allowed is a date`},
		{"no source", header + "us-east-1,ipv4,hour,1,2026-01-01,,verified\n", `p.csv row 2, column source="": allowed is where the price is from`},
		{"another status", header + "us-east-1,ipv4,hour,1,2026-01-01,me,maybe\n", `p.csv row 2, column status="maybe": allowed is verified or unverified`},
		{"twice", header + strings.Repeat("us-east-1,ipv4,hour,1,2026-01-01,me,verified\n", 2), `p.csv row 3, column item="ipv4": duplicate for us-east-1`},
		{"no CSV", "\"", "p.csv is not a CSV file"},
		{"nothing", "", "p.csv row 1: allowed is region"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := LoadPrices(strings.NewReader(test.file), "p.csv"); err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got %v\nwant %s…", err, test.want)
			}
		})
	}
}

func TestUserPricesOverrideDefaults(t *testing.T) {
	prices, err := DefaultPrices()
	must.Succeed(t, err)
	mine, err := LoadPrices(strings.NewReader(header+"us-east-1,ipv4,hour,9,2026-01-01,contract,verified\neu-west-1,ipv4,hour,8,2026-01-01,x,verified\n"), "mine.csv")
	must.Succeed(t, err)
	both := prices.With(mine)
	if p, _ := both.find("us-east-1", "ipv4"); p.USD != 9 {
		t.Errorf("got %+v, want the user's price of 9", p)
	}
	if _, found := both.find("us-east-1", "alb:hour"); !found {
		t.Error("With lost the default price of alb:hour")
	}
	if p, _ := prices.find("us-east-1", "ipv4"); p.USD != 0.005 {
		t.Error("With changed its receiver")
	}
	if got := strings.Join(both.Regions(), " "); got != "eu-west-1 us-east-1" {
		t.Errorf("regions %s, want eu-west-1 us-east-1", got)
	}
}
