"""Turns a chart described as data into a picture; the only place that draws."""
