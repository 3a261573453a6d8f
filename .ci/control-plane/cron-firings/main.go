// Command cron-firings reads one question per line, ZONE TAB UNIX-SECONDS TAB COUNT TAB EXPRESSION, and answers each with a line: the
// next firings after that time as Unix seconds, as the CronJob controller computes them, or "refused: " and why the API server would
// not take the expression.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata"

	"github.com/robfig/cron/v3"
)

func main() {
	in, out := bufio.NewScanner(os.Stdin), bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for in.Scan() {
		parts := strings.SplitN(in.Text(), "\t", 4)
		if len(parts) != 4 {
			fmt.Fprintf(os.Stderr, "not a question: %q\n", in.Text())
			os.Exit(2)
		}
		fmt.Fprintln(out, answer(parts[0], parts[1], parts[2], parts[3]))
	}
	if err := in.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

func answer(zone, after, count, expression string) string {
	// The API server validates the expression alone and refuses time zones in it; the controller puts the zone before it.
	if strings.Contains(expression, "TZ") {
		return "refused: TZ"
	}
	if _, err := cron.ParseStandard(expression); err != nil {
		return "refused: " + err.Error()
	}
	schedule, err := cron.ParseStandard("TZ=" + zone + " " + expression)
	if err != nil {
		return "refused: " + err.Error()
	}
	seconds, err := strconv.ParseInt(after, 10, 64)
	if err != nil {
		return "refused: " + err.Error()
	}
	number, err := strconv.Atoi(count)
	if err != nil {
		return "refused: " + err.Error()
	}
	var firings []string
	for at := time.Unix(seconds, 0); len(firings) < number; {
		at = schedule.Next(at)
		if at.IsZero() {
			break
		}
		firings = append(firings, strconv.FormatInt(at.Unix(), 10))
	}
	return strings.Join(firings, " ")
}
