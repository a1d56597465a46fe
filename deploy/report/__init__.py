"""One report of stored runs: a page that needs no network, Markdown, pictures.

    from mobiledeploy.deploy.report.build import build
    from mobiledeploy.deploy.report.page import page

The way through: ``collect`` reads the history, ``build`` makes a ``Report`` (sections of tables and plots,
plain data), and ``page``, ``markdown`` and ``pictures`` each show it.
"""
