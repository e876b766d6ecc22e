package client

import (
	"github.com/urfave/cli/v2"

	"daemoneye/roles/metrics"
)

func metricsCommand() *cli.Command {
	return &cli.Command{
		Name:  "metrics",
		Usage: "print the counts of health in the text format of Prometheus",
		Description: `   daemoneye metrics
   daemoneye metrics | grep unread

With metrics.file.interval in the configuration the agent writes the same to a
file for node_exporter's textfile collector.`,
		Action: run(showMetrics),
	}
}

func showMetrics(c *call) error {
	if err := c.exactly(0, ""); err != nil {
		return err
	}
	h, err := c.health()
	if err != nil {
		return err
	}
	return metrics.Write(c.out, h)
}
