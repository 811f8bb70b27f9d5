"""One module for each part of the dashboard. `witnd.web.dashboard.pages.all` names them."""
