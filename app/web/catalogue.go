package web

import "slices"

// A product can be added to the cart. The fixed catalogue bounds the size of a cart.
type product struct {
	SKU   string
	Name  string
	Emoji string
	Cents int64
}

// catalogue returns the products, in the order of the page.
func catalogue() []product {
	return []product{
		{"rubber-duck", "Rubber duck", "🦆", 450},
		{"coffee", "Coffee", "☕", 320},
		{"pager", "Pager", "📟", 8900},
		{"cactus", "Desk cactus", "🌵", 1250},
		{"socks", "Socks", "🧦", 780},
		{"umbrella", "Umbrella", "☂️", 2400},
	}
}

func skus() []string {
	var list []string
	for _, p := range catalogue() {
		list = append(list, p.SKU)
	}
	return list
}

func isSold(sku string) bool { return slices.Contains(skus(), sku) }
