package stacks

import (
	"os"

	"github.com/aws/jsii-runtime-go"
)

// CloseKernel ends the Node process behind the CDK and removes its files. It is the last thing that a program does:
// os.Stderr is nil from then on, because the jsii runtime waits for the process in two places at once, and whichever
// comes second complains there about nothing.
func CloseKernel() {
	os.Stderr = nil
	jsii.Close()
}
