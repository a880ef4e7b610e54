package main

import (
	"math/rand/v2"
	"slices"
	"time"
)

// arrivalTimes draws the arrivals of a Poisson process, in nanoseconds from the start. The seed is fixed, so that
// every server gets the same arrivals at the same rate.
func arrivalTimes(ratePerSecond float64, length time.Duration) []int64 {
	random := rand.New(rand.NewPCG(1, 2))
	times := make([]int64, 0, int(ratePerSecond*length.Seconds()*1.1)+16)
	for at := 0.0; ; {
		at += random.ExpFloat64() / ratePerSecond * float64(time.Second)
		if at >= float64(length) {
			return times
		}
		times = append(times, int64(at))
	}
}

// spread sums up durations, in microseconds.
type spread struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

func spreadOf(nanoseconds []int64) spread {
	if len(nanoseconds) == 0 {
		return spread{}
	}
	slices.Sort(nanoseconds)
	at := func(share float64) float64 {
		return float64(nanoseconds[int(share*float64(len(nanoseconds)-1))]) / 1000
	}
	return spread{P50: at(0.5), P99: at(0.99), P999: at(0.999), Max: at(1)}
}
