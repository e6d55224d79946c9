"""The codes of the signed log, in the words of people: a part of the table of `errors.py`.

Each is HTTP status, what happened, what it means, what the reader can do; French msgids.
"""

TRAIL: dict[str, tuple[int, str, str, str]] = {
    "CM-JRN-01": (
        503, "Journal indisponible",
        "Le journal signé n’accepte pas d’écriture ; sans lui, aucune demande n’est transmise.",
        "Réessayez dans un instant ; l’exploitant est prévenu."),
    "CM-JRN-02": (
        409, "Enregistrement refusé",
        "L’enregistrement contredit ce que le journal contient déjà.",
        "Signalez le code à l’exploitant."),
    "CM-JRN-03": (
        503, "Journal en retard sur sa dernière signature",
        "Le journal est plus court que ce qui a été signé, ou différent : restauré ou modifié.",
        ("N’écrivez rien dans ce journal ; prévenez le RSSI, puis ouvrez à deux une nouvelle "
         "époque : casemate audit new-epoch propose.")),
    "CM-JRN-04": (
        409, "Preuve refusée",
        "Ce qui a été présenté ne correspond pas au journal.",
        "Gardez le fichier et prévenez le RSSI."),
    "CM-JRN-05": (
        403, "Enregistrement non permis",
        "Ce programme n’a pas le droit d’écrire ce type d’enregistrement.",
        "Signalez le code à l’exploitant."),
    "CM-JRN-06": (
        503, "Volume du journal inutilisable",
        "Le dossier du journal manque, est déjà pris ou n’est pas celui attendu.",
        "Exploitant : vérifiez le volume du journal, puis relancez l’enregistreur."),
    "CM-JRN-20": (
        422, "Co-signature refusée par le témoin",
        ("La tête présentée n’est pas signée par le journal, ou n’est pas la suite de celle "
         "que le témoin connaît."),
        "Suivez le message ; si le témoin en sait plus que le journal, prévenez le RSSI."),
    "CM-JRN-21": (
        503, "Témoin inutilisable",
        "La clé ou la mémoire du témoin manque, ou n’est pas la sienne.",
        ("RSSI : restaurez le dossier du témoin, sinon créez-en un autre et changez la "
         "politique.")),
    "CM-JRN-22": (
        409, "Ancrage refusé",
        "Cette co-signature n’est pas d’un témoin de la politique, ou pas sur cette tête.",
        "Vérifiez le fichier et la politique, puis redemandez une co-signature au témoin."),
    "CM-JRN-26": (
        409, "Chiffrement de l’export impossible",
        "Le certificat de l’auditeur n’est pas lisible, n’est plus valable, ou ne chiffre pas.",
        "Demandez à l’auditeur un certificat de chiffrement en cours de validité (PEM)."),
    "CM-JRN-30": (
        503, "Copie de travail injoignable",
        ("La copie du journal dans laquelle on cherche ne répond pas ; le journal, lui, "
         "continue."),
        "Vérifiez PostgreSQL et l’indexeur, puis réessayez."),
    "CM-JRN-31": (
        409, "Reconstruction déjà en cours",
        "La copie de travail du journal est déjà en train d’être refaite.",
        "Attendez la fin de l’autre commande."),
    "CM-JRN-32": (
        409, "Copie de travail d’un autre journal",
        "Le journal n’a pas, ou n’a plus, le dernier événement de la copie de travail.",
        "Prévenez le RSSI ; si le journal est le bon : casemate audit index rebuild."),
    "CM-JRN-33": (
        409, "Rien à exporter dans cette période",
        "Aucun événement signé ne se trouve dans la période demandée.",
        "Élargissez la période, ou attendez la prochaine signature du journal."),
    "CM-JRN-34": (
        503, "Export non écrit",
        "Le dossier des exports n’a pas pu être écrit.",
        "Exploitant : vérifiez la place sur le disque, puis redemandez l’export."),
    "CM-JRN-40": (
        409, "Nouvelle époque refusée",
        "Un nouveau journal ne peut pas prendre la suite de celui-ci de cette façon.",
        "Suivez le message ; deux personnes nommées doivent agir l’une après l’autre."),
    "CM-JRN-41": (
        409, "Élimination refusée",
        "Ces enregistrements doivent être gardés, ou le journal a été éliminé entre-temps.",
        "Choisissez une date plus ancienne ; la durée minimale est dans les réglages du site."),
    "CM-JRN-42": (
        409, "Changement de clés refusé",
        "Les clés du journal ne se changent pas de cette façon.",
        "Suivez le message : la taille est celle du dernier ancrage connu pour bon."),
    "CM-JRN-25": (
        409, "Export impossible",
        ("La plage demandée n’est pas signée, l’export existe déjà, ou le journal n’a pas ses "
         "clés publiées."),
        "Suivez le message : changez la plage ou le dossier, puis recommencez."),
    "CM-JRN-50": (
        409, "Effacement trop tôt",
        "Un contenu désigné n’a pas encore atteint la durée minimale de conservation du site.",
        "Attendez ; la durée minimale est dans les réglages de l’enregistreur et du site."),
    "CM-JRN-51": (
        403, "Accord manquant",
        "Un contenu s’ouvre avec deux accords récents, d’un auditeur et du RSSI.",
        "Demandez l’accord de l’autre personne, puis recommencez sous quinze minutes."),
    "CM-JRN-52": (
        409, "Accord non valable",
        "L’accord est trop ancien, a déjà servi, ou n’a pas été donné par la passerelle.",
        "Donnez un nouvel accord depuis la page du contenu."),
    "CM-JRN-53": (
        503, "Lecteur indisponible",
        "Le lecteur des contenus scellés ne répond pas ; rien n’a été ouvert.",
        "Prévenez l’exploitant ; les accords valent quinze minutes."),
    "CM-JRN-54": (
        503, "Clé du lecteur illisible",
        "Une clé mensuelle du lecteur manque ou ne s’ouvre pas avec son secret.",
        "Exploitant : restaurez le dossier des clés ou le secret de l’unité casemate-reader."),
    "CM-JRN-55": (
        410, "Contenu introuvable",
        "Ce contenu a été effacé, n’a pas été gardé, ou précède la clé du lecteur.",
        "L’enregistrement et sa preuve restent dans le journal."),
    "CM-JRN-56": (
        409, "Visa d’élimination manquant",
        "Sur ce site, un contenu n’est effacé qu’avec un visa du journal pour sa plage.",
        "Faites viser le bordereau d’élimination, puis inscrivez le visa sur sa page."),
    "CM-JRN-60": (
        409, "Copie au collecteur refusée",
        "Le journal n’est pas celui dont des lignes sont parties, ou la marque est illisible.",
        "Prévenez le RSSI ; si le journal est le bon, rendez ce dossier à casemate-forwarder."),
    "CM-JRN-61": (
        409, "Copie sur support refusée",
        "Le support porte une autre histoire du journal, ou ne peut pas être écrit.",
        "Ne l’effacez pas : il peut prouver un retour en arrière ; prévenez le RSSI."),
}  # fmt: skip
