<#macro registrationLayout bodyClass="" displayInfo=false displayMessage=true displayRequiredFields=false>
<!doctype html>
<html lang="${lang}">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <meta name="robots" content="noindex">
  <title>${msg("loginTitle",(realm.displayName!''))}</title>
  <link rel="icon" href="${url.resourcesPath}/img/icon.svg" type="image/svg+xml">
  <#list properties.styles?split(' ') as style>
  <link rel="stylesheet" href="${url.resourcesPath}/${style}">
  </#list>
  <#if authenticationSession??>
  <script type="module">
    <#outputformat "JavaScript">
    import { checkAuthSession } from ${(url.resourcesPath + "/js/authChecker.js")?c};
    checkAuthSession(${authenticationSession.authSessionIdHash?c});
    </#outputformat>
  </script>
  </#if>
</head>
<body class="${properties.kcBodyClass!}" data-page-id="login-${pageId}">
<main class="login" id="contenu">
  <section class="login-side" aria-label="${msg("aboutThisSystem")}">
    <p class="brand"><img src="${url.resourcesPath}/img/icon.svg" alt="" width="32" height="32"><b>Casemate</b></p>
    <div class="stack"><h2>${msg("promise")}</h2><p class="quiet">${msg("promiseDetail")}</p></div>
  </section>
  <section class="login-form" aria-labelledby="kc-page-title">
    <div id="kc-content">
      <#if auth?has_content && auth.showUsername() && !auth.showResetCredentials()>
      <h1 id="kc-page-title">${msg("confirmTitle")}</h1>
      <p id="kc-username" class="soft"><span id="kc-attempted-username">${auth.attemptedUsername}</span>
        · <a id="reset-login" href="${url.loginRestartFlowUrl}">${msg("restartLoginTooltip")}</a></p>
      <#else>
      <h1 id="kc-page-title"><#nested "header"></h1>
      </#if>
      <div id="kc-content-wrapper">
        <#if displayMessage && message?has_content && (message.type != 'warning' || !isAppInitiatedAction??)>
        <div class="notice <#if message.type = 'error'>notice-bad<#elseif message.type = 'warning'>notice-warn</#if>" role="alert">
          <p>${kcSanitize(message.summary)?no_esc}</p>
        </div>
        </#if>
        <#nested "form">
        <#if displayInfo><div id="kc-info"><#nested "info"></div></#if>
      </div>
      <#if realm.internationalizationEnabled && locale.supported?size gt 1>
      <ul class="languages small" aria-label="${msg("languages")}">
        <#list locale.supported as l>
        <li><a href="${l.url}" lang="${l.languageTag}" hreflang="${l.languageTag}">${l.label}</a></li>
        </#list>
      </ul>
      </#if>
    </div>
  </section>
</main>
</body>
</html>
</#macro>
