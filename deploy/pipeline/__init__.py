"""``mobiledeploy run``: a project as a graph of steps, each kept by the content of what it was made from."""
