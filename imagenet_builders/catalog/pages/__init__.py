"""The pages of a catalog: templates, styles, scripts and plots; no server or network is needed."""
